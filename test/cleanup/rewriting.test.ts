import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HeaderStage } from "../../src/cleanup/header-stage.ts";
import { openRewriting, type Rewriting } from "../../src/cleanup/rewriting.ts";
import { loadConfig } from "../../src/config/config.ts";
import { NO_CLIENT, type Notify, plainRecipient } from "../../src/envelope.ts";
import { latin1Decode, latin1Encode } from "../../src/latin1.ts";
import { replyLine } from "../../src/reply.ts";
import { AddressClasses } from "../../src/trivial-rewrite/resolve.ts";
import { configured } from "../config/fake-runtime.ts";

const BASE = "myhostname = mx.home.example\nmydestination = home.example\nmyorigin = home.example\n" +
  "recipient_delimiter = +\nappend_dot_mydomain = no\n";
const warnings: string[] = [];
const SCOPE = { mapped: true, copies: true, warn: (text: string) => void warnings.push(text) };

function made(main: string): Rewriting {
  const { runtime } = configured(BASE + main);
  const config = loadConfig(runtime, "/etc/postfix").main;
  return openRewriting(config, new AddressClasses(config, runtime), runtime, { warn: SCOPE.warn });
}

async function sent(main: string, sender: string, recipients: readonly string[], scope = SCOPE): Promise<string> {
  const done = await made(main).envelope({
    sender,
    recipients: recipients.map(plainRecipient),
    arrived: 0,
    client: NO_CLIENT,
    encoding: "",
    ret: "",
    envid: "",
  }, scope);
  if ("refused" in done) return replyLine(done.refused);
  const shown = done.envelope.recipients.map(({ address, original, notify }) =>
    address + (original === "" ? "" : `(${original})`) + (notify.length === 0 ? "" : ` ${notify.join()}`)
  );
  return `${done.envelope.sender} -> ${shown.join(" ")}`;
}

const CANONICAL = "inline:{ {u@x.example = v@y.example} {@old.example = @new.example} {w = ww@z.example} }";
const ALIASES = "inline:{ {list@x.example = a@x.example, b, list@x.example} {@all.example = one@x.example} " +
  "{p@x.example = q@x.example} {q@x.example = r@x.example} {grow@x.example = x.grow@x.example} {@grow = @grow2} }";

describe("an envelope", () => {
  const rows: readonly (readonly [string, string, readonly string[], string])[] = [
    ["", "s@x.example", ["u@x.example"], "s@x.example -> u@x.example"],
    [`canonical_maps = ${CANONICAL}`, "u@x.example", ["u@x.example"], "v@y.example -> v@y.example(u@x.example)"],
    [
      `canonical_maps = ${CANONICAL}`,
      "a+b@old.example",
      ["w+e@home.example"],
      "a+b@new.example -> ww+e@z.example(w+e@home.example)",
    ],
    [`sender_canonical_maps = ${CANONICAL}`, "u@x.example", ["u@x.example"], "v@y.example -> u@x.example"],
    [
      `recipient_canonical_maps = ${CANONICAL}`,
      "u@x.example",
      ["u@x.example"],
      "u@x.example -> v@y.example(u@x.example)",
    ],
    [
      `canonical_maps = ${CANONICAL}\ncanonical_classes = envelope_recipient`,
      "u@x.example",
      ["u@x.example"],
      "u@x.example -> v@y.example(u@x.example)",
    ],
    ["canonical_maps = fail:here", "s@x.example", ["u@x.example"], "451 4.3.0 Error: queue file write error"],
    [
      "masquerade_domains = !no.x.example x.example",
      "a@b.x.example",
      ["a@b.x.example"],
      "a@x.example -> a@b.x.example",
    ],
    ["masquerade_domains = !no.x.example x.example", "a@b.no.x.example", [], "a@b.no.x.example -> "],
    ["masquerade_domains = x.example\nmasquerade_exceptions = root", "root@b.x.example", [], "root@b.x.example -> "],
    [
      `virtual_alias_maps = ${ALIASES}`,
      "",
      ["list@x.example"],
      " -> a@x.example(list@x.example) b@home.example(list@x.example) list@x.example",
    ],
    [`virtual_alias_maps = ${ALIASES}`, "", ["p+e@x.example"], " -> r+e@x.example(p+e@x.example)"],
    [
      `virtual_alias_maps = ${ALIASES}\npropagate_unmatched_extensions =`,
      "",
      ["p+e@x.example"],
      " -> r@x.example(p+e@x.example)",
    ],
    [
      `virtual_alias_maps = ${ALIASES}\nvirtual_alias_expansion_limit = 2`,
      "",
      ["list@x.example"],
      "451 4.6.0 Alias expansion error",
    ],
    [
      `virtual_alias_maps = ${ALIASES}\nvirtual_alias_recursion_limit = 1`,
      "",
      ["p@x.example"],
      "451 4.6.0 Alias expansion error",
    ],
    [
      `virtual_alias_maps = ${ALIASES}\nvirtual_alias_address_length_limit = 5`,
      "",
      ["p@x.example"],
      "451 4.6.0 Alias expansion error",
    ],
    ["virtual_alias_maps = fail:v", "", ["p@x.example"], "451 4.3.0 Error: queue file write error"],
    ["always_bcc = all", "", ["p@x.example"], " -> p@x.example all@home.example never"],
    [
      "sender_bcc_maps = inline:{ {s@x.example=c@x.example} }",
      "s@x.example",
      ["p@x.example"],
      "s@x.example -> c@x.example never p@x.example",
    ],
    [
      "recipient_bcc_maps = inline:{ {@x.example=c@y.example} }",
      "",
      ["p@x.example"],
      " -> p@x.example c@y.example never",
    ],
  ];
  for (const [main, sender, recipients, expected] of rows) {
    test(`${sender} to ${recipients.join()} with ${main}`, async () =>
      assert.equal(await sent(main, sender, recipients), expected));
  }

  test("keeps each recipient once, and those that were different only where that is wanted", async () => {
    const aliases = `virtual_alias_maps = ${ALIASES}\n`;
    const two = ["one@all.example", "two@all.example", "one@all.example"];
    assert.equal(await sent(aliases, "", two), " -> one@x.example(one@all.example) one@x.example(two@all.example)");
    assert.equal(await sent(`${aliases}enable_original_recipient = no`, "", two), " -> one@x.example(one@all.example)");
  });

  test("keeps each recipient once where nothing is set too, but not what is asked of it in two ways", () => {
    const one = plainRecipient("a@x.example");
    const others = [{ ...one, notify: ["never" as const] }, { ...one, originalRecipient: "rfc822;b@x.example" }];
    const again = { ...one, address: "A@X.example" };
    assert.deepEqual(made("").distinct([one, ...others, again, ...others]), [one, ...others]);
    assert.deepEqual(made("duplicate_filter_limit = 1").distinct([one, ...others, again, ...others]), [
      one,
      ...others,
      ...others,
    ]);
  });

  test("is not mapped where no_address_mappings says so", async () => {
    const main = `canonical_maps = ${CANONICAL}\nvirtual_alias_maps = ${ALIASES}\nalways_bcc = all`;
    const scope = { ...SCOPE, mapped: false, copies: false };
    assert.equal(await sent(main, "u@x.example", ["list@x.example"], scope), "u@x.example -> list@x.example");
  });

  test("from MAILER-DAEMON of this host has no sender", () => {
    assert.equal(made("").nullSender("Mailer-Daemon@home.example"), "");
    assert.equal(made("").nullSender("mailer-daemon@x.example"), "mailer-daemon@x.example");
  });

  test("needs no work where nothing is set", () => {
    assert.ok(made("").idle);
    assert.ok(!made("always_bcc = all").idle);
  });
});

describe("headers", () => {
  const rows: readonly (readonly [string, string, string])[] = [
    ["", "From: u\r\n", "From: u@home.example\r\n"],
    ["", "FROM :  Name <u> (c)\r\n", "FROM: Name <u@home.example>(c)\r\n"],
    ["", "To: a@x.example,\r\n   b@x.example\r\n", "To: a@x.example,\r\n   b@x.example\r\n"],
    ["", "To: a, b (c)\r\n", "To: a@home.example, b@home.example (c)\r\n"],
    ["", "To: group: a, b;\r\n", "To: group: a@home.example, b@home.example;\r\n"],
    ["", "To: a b\r\n", "To: a@home.example, b@home.example\r\n"],
    ["", "Subject: u\r\n", "Subject: u\r\n"],
    ["", "Cc: host!u, u%x.example\r\n", "Cc: u@host, u@x.example\r\n"],
    [
      "",
      "To: aaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbb, c\r\n",
      "To: aaaaaaaaaaaaaaaaaaaaaaaaa@home.example,\r\n\tbbbbbbbbbbbbbbbbbbbbbbbbbbbb@home.example, c@home.example\r\n",
    ],
    [`canonical_maps = ${CANONICAL}`, "From: N <u@x.example>\r\n", "From: N <v@y.example>\r\n"],
    [`sender_canonical_maps = ${CANONICAL}`, "To: u@x.example\r\n", "To: u@x.example\r\n"],
    ["masquerade_domains = x.example", "To: u@a.x.example\r\n", "To: u@x.example\r\n"],
    ["canonical_maps = fail:here", "To: u@a.x.example\r\n", "451 4.3.0 Error: queue file write error"],
  ];
  for (const [main, header, expected] of rows) {
    test(`${JSON.stringify(header)} with ${main}`, async () => {
      const rewriting = made(main);
      const context = rewriting.context(true)!;
      const stage = new HeaderStage((bytes, start, end) => rewriting.header(bytes, start, end, context, SCOPE));
      // In pieces that end anywhere.
      for (let at = 0; at < header.length; at += 7) stage.keep(latin1Encode(header.slice(at, at + 7)));
      const done = await stage.finish();
      const text = "code" in done ? replyLine(done) : done.map((piece) => latin1Decode(piece)).join("");
      assert.equal(text, expected);
    });
  }

  test("of other sites' clients stay, or get remote_header_rewrite_domain", () => {
    assert.equal(made("").context(false), null);
    const { origin, domain } = made("remote_header_rewrite_domain = un.known").context(false)!;
    assert.deepEqual([origin, domain], ["un.known", "un.known"]);
  });
});

describe("recipients that virtual aliases replace", () => {
  /** NOTIFY=, the recipient before aliases; what comes of it, and what is said to be expanded. */
  const rows: readonly (readonly [Notify, string, string, string])[] = [
    [["success"], "list@x.example", "never", "list@x.example"],
    [["success", "failure"], "list@x.example", "failure", "list@x.example"],
    [["success"], "p@x.example", "never", "p@x.example"],
    [["failure"], "list@x.example", "failure", ""],
    [[], "list@x.example", "", ""],
    [["success"], "none@x.example", "success", ""],
    [["success"], "SELF@x.example", "never", "SELF@x.example"],
    [["success"], "self@x.example", "success", ""],
  ];
  for (const [notify, address, expected, expanded] of rows) {
    test(`${address} with NOTIFY=${notify.join()}`, async () => {
      const map = ALIASES.replace("inline:{", "inline:{ {self@x.example = self@x.example}");
      const done = await made(`virtual_alias_maps = ${map}\n`).envelope({
        sender: "s@x.example",
        recipients: [{ ...plainRecipient(address), notify, originalRecipient: "rfc822;o@x" }],
        arrived: 0,
        client: NO_CLIENT,
        encoding: "",
        ret: "",
        envid: "",
      }, SCOPE);
      assert.ok("envelope" in done);
      for (const recipient of done.envelope.recipients) assert.equal(recipient.notify.join(), expected);
      const told = (done.envelope.expanded ?? []).map((one) => [one.address, one.original, one.originalRecipient]);
      assert.deepEqual(told, expanded === "" ? [] : [[expanded, "", "rfc822;o@x"]]);
    });
  }
});
