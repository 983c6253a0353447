import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Actions, type Edit } from "../../src/cleanup/actions.ts";
import type { Logger } from "../../src/log.ts";
import { replyLine } from "../../src/reply.ts";

const FACTS = {
  id: "ID",
  origin: "host.example[192.0.2.1]",
  sender: "s@x.example",
  recipient: "r@y.example",
  protocol: "ESMTP",
  helo: "client",
};
const ABOUT = " from host.example[192.0.2.1]; from=<s@x.example> to=<r@y.example> proto=ESMTP helo=<client>";

function made(facts = FACTS): { actions: Actions; lines: string[] } {
  const lines: string[] = [];
  const logger = {
    info: (text: string) => void lines.push(text),
    warn: (text: string) => void lines.push(`warning: ${text}`),
  };
  return { actions: new Actions(logger as unknown as Logger, facts), lines };
}

function act(value: string, context: "header" | "body" = "header"): { edit: Edit; actions: Actions; lines: string[] } {
  const { actions, lines } = made();
  const edit = actions.act(context, "Subject: x", value, context === "header" ? "header_checks" : "body_checks");
  return { edit, actions, lines };
}

describe("actions log what Postfix logs", () => {
  const line = (action: string, text = ""): string => `ID: ${action}: header Subject: x${ABOUT}${text}`;
  const rows: readonly (readonly [string, string])[] = [
    ["REJECT", line("reject", ": 5.7.1 message content rejected")],
    ["reject  no thanks", line("reject", ": 5.7.1 no thanks")],
    ["REJECT 4.7.3 later", line("reject", ": 4.7.3 later")],
    ["DISCARD", line("discard")],
    ["HOLD wait", line("hold", ": wait")],
    ["PASS", line("pass")],
    ["WARN", line("warning")],
    ["INFO text", line("info", ": text")],
    ["STRIP text", line("strip", ": text")],
    ["PREPEND A: b", line("prepend", ": A: b")],
    ["REPLACE A: b", line("replace", ": A: b")],
    ["FILTER smtp:x", line("filter", ": smtp:x")],
    ["REDIRECT a@b", line("redirect", ": a@b")],
    ["BCC a@b", line("bcc", ": a@b")],
    ["PREPEND", "warning: PREPEND action without text in header_checks map"],
    [
      "PREPEND no header",
      'warning: bad PREPEND header text "no header" in header_checks map -- need "headername: headervalue"',
    ],
    ["REPLACE", "warning: REPLACE action without text in header_checks map"],
    ["FILTER", "warning: missing FILTER command argument in header_checks map"],
    ["FILTER smtp", "warning: bad FILTER command smtp in header_checks -- need transport:destination"],
    ["REDIRECT a", 'warning: bad REDIRECT target "a" in header_checks map -- need user@domain'],
    ["BCC a", 'warning: bad BCC address "a" in header_checks map -- need user@domain'],
    ["DELAY 3s", "warning: unknown command in header_checks map: DELAY 3s"],
    ["constructor", "warning: unknown command in header_checks map: constructor"],
    ["", "warning: unknown command in header_checks map: "],
  ];
  for (const [value, expected] of rows) it(value, () => assert.deepEqual(act(value).lines, [expected]));
  for (const value of ["IGNORE", "DUNNO", "ok", "IGNORE text"]) {
    it(`nothing for ${value}`, () => assert.deepEqual(act(value).lines, []));
  }
  it("the first 200 characters of the content", () => {
    const { actions, lines } = made();
    actions.act("body", "x".repeat(999), "WARN", "body_checks");
    assert.equal(lines[0], `ID: warning: body ${"x".repeat(200)}${ABOUT}`);
  });
  it("what a program of this host sent", () => {
    const { actions, lines } = made({ ...FACTS, origin: "local", protocol: "", helo: "" });
    actions.act("body", "x", "WARN a", "body_checks");
    assert.equal(lines[0], "ID: warning: body x from local; from=<s@x.example> to=<r@y.example>: a");
  });
});

describe("actions have their effect", () => {
  it("REJECT refuses, and nothing is looked at after it", () => {
    const rows: readonly (readonly [string, string])[] = [
      ["REJECT", "550 5.7.1 message content rejected"],
      ["REJECT text", "550 5.7.1 text"],
      ["REJECT 5.1.2 text", "550 5.1.2 text"],
      ["REJECT 4.1.2 text", "451 4.1.2 text"],
      ["REJECT 2.1.2 text", "451 4.1.2 text"],
    ];
    for (const [value, expected] of rows) {
      const { actions } = act(value);
      assert.equal(replyLine(actions.refused!), expected);
      assert.deepEqual([actions.checking, actions.stopped], [false, true]);
    }
  });
  it("edits", () => {
    assert.deepEqual(act("IGNORE").edit, { kind: "drop" });
    assert.deepEqual(act("STRIP x").edit, { kind: "drop" });
    assert.deepEqual(act("PREPEND A: b").edit, { kind: "prepend", text: "A: b" });
    assert.deepEqual(act("REPLACE any text", "body").edit, { kind: "replace", text: "any text" });
    assert.deepEqual(act("REPLACE any text").edit, { kind: "keep" });
  });
  it("where the message goes", () => {
    assert.equal(act("FILTER a:b").actions.filter, "a:b");
    assert.equal(act("REDIRECT a@b").actions.redirect, "a@b");
    assert.equal(act("REDIRECT a@b").actions.checking, false);
    assert.deepEqual(act("BCC a@b").actions.copies, ["a@b"]);
    assert.equal(act("HOLD").actions.held, true);
    assert.equal(act("DISCARD").actions.discarded, true);
    assert.equal(act("PASS").actions.checking, false);
    assert.equal(act("PASS").actions.stopped, false);
  });
  it("HOLD is told once", () => {
    const { actions, lines } = made();
    actions.act("header", "a", "HOLD", "header_checks");
    actions.act("header", "b", "HOLD", "header_checks");
    assert.equal(lines.length, 1);
  });
});
