/**
 * Rules that were broken on purpose, each seen here: a template with a fault that is used, an undefined name that is
 * taken as empty, a fault of the file that stops the start.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  BUILT_IN,
  expandedText,
  expandTemplate,
  loadTemplates,
  openTemplates,
  templatesText,
} from "../../src/bounce/template.ts";
import { ConfigError } from "../../src/errors.ts";
import { latin1Encode } from "../../src/latin1.ts";
import { TEMPLATE_FILES } from "./template-files.ts";

const VALUES: Readonly<Record<string, string>> = {
  myhostname: "mx.example",
  mydomain: "example",
  dollar: "a$mydomain",
};
const PARAMETERS = {
  delay_warning_time: 0,
  maximal_queue_lifetime: 5 * 86_400_000,
  raw: (name: string) => VALUES[name] ?? null,
  text: (name: string) => VALUES[name] ?? "",
};

/** What it says, "fatal: ..." for what it throws. */
function said<T>(run: (warn: (text: string) => void) => T): { said: string[]; value: T | null } {
  const lines: string[] = [];
  try {
    return { value: run((text) => lines.push(`warning: ${text}`)), said: lines };
  } catch (caught) {
    assert.ok(caught instanceof ConfigError);
    return { value: null, said: [...lines, ...caught.faults] };
  }
}

describe("a template file", () => {
  for (const { name, text, loading = [], expanding = [] } of TEMPLATE_FILES) {
    it(`with ${name}`, () => {
      const loaded = said((warn) => loadTemplates(text, "FILE", warn));
      assert.deepEqual(loaded.said, loading);
      if (loaded.value === null) return;
      const { value } = loaded;
      assert.deepEqual(said((warn) => expandedText(value, PARAMETERS, warn)).said, expanding);
      for (const line of loading.filter((line) => line.includes("ignoring"))) {
        const of = /in (\w+) template/.exec(line)?.[1];
        if (of !== undefined) assert.equal(value[of as "failure"], BUILT_IN[of as "failure"]);
      }
      assert.deepEqual(Object.values(loadTemplates(templatesText(value), "FILE", () => {})).map(({ lines }) => lines), [
        value.failure.lines,
        value.delay.lines,
        value.success.lines,
        value.verify.lines,
      ], "what is shown can be loaded");
    });
  }

  it("has fields and text", () => {
    const { text } = TEMPLATE_FILES.find(({ name }) => name === "all fields")!;
    const { failure } = loadTemplates(text, "FILE", () => {});
    const { charset, from, subject, postmasterSubject } = failure;
    assert.deepEqual([charset, from, subject, postmasterSubject], [
      "iso-8859-1",
      "Postman <postman>",
      "It failed ",
      "Copy",
    ]);
    assert.deepEqual(expandTemplate(failure, PARAMETERS, () => {}), [
      "Host example example example $5 yes \xe4",
      "  indented",
      "",
      "last",
    ]);
  });

  it("does not expand what came of an expansion", () => {
    const template = { ...BUILT_IN.failure, lines: ["$dollar ${dollar?{$dollar}}"] };
    assert.deepEqual(expandTemplate(template, PARAMETERS, () => {}), ["a$mydomain a$mydomain"]);
  });
});

describe("the built-in templates", () => {
  it("are shown as they are", () => {
    assert.match(
      templatesText(BUILT_IN),
      /^failure_template = <<EOF\nCharset: us-ascii\nFrom: Mail Delivery System <MAILER-DAEMON>\nSubject: Und/,
    );
    assert.match(templatesText(BUILT_IN), /\nSubject: Successful Mail Delivery Report\n\nThis is/);
    assert.match(expandedText(BUILT_IN, PARAMETERS, () => {}), /\nIt will be retried until it is 5 day\(s\) old\.\n/);
  });
});

describe("bounce_template_file", () => {
  const open = (path: string, text: string | null) =>
    said((warn) =>
      openTemplates({ ...PARAMETERS, bounce_template_file: path }, {
        readSync: () => {
          if (text === null) throw Object.assign(new Error("gone"), { code: "ENOENT" });
          return latin1Encode(text);
        },
      }, warn)
    );

  it("may be absent", () => {
    assert.equal(open("", null).value, BUILT_IN);
  });

  it("is used", () => {
    assert.deepEqual(open("/f", "delay_template = text\n").value?.delay.lines, ["text"]);
  });

  it("that would end Postfix's bounce(8) is a warning: mail does not wait for a text", () => {
    const rest = " -- using the built-in templates";
    for (
      const [text, why] of [
        [null, "open /f: No such file or directory"],
        ["nonsense\n", "/f, line 2: missing '=' after attribute name: \"nonsense\""],
        ["verify_template = $nosuch\n", "/f: undefined $name in verify template: $nosuch"],
      ] as const
    ) {
      assert.deepEqual(open("/f", text), { value: BUILT_IN, said: [`warning: ${why}${rest}`] });
    }
  });
});
