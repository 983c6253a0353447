import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BUILT_IN, templatesText } from "../../src/bounce/template.ts";
import { shownTemplates } from "../../src/commands/postconf-templates.ts";
import { postconf } from "../../src/commands/postconf.ts";
import { ConfigError } from "../../src/errors.ts";
import { fakeRuntime } from "../config/fake-runtime.ts";

const FILES = {
  "/etc/postfix/main.cf": "myhostname = mx.example.org\nbounce_template_file = /own\n",
  "/etc/postfix/master.cf": "",
  "/own": "delay_template = of $myhostname\nother = x\n",
  "/fault": "nonsense\n",
};

async function run(words: readonly string[]): Promise<{ status: number; output: string; errors: string }> {
  const fake = fakeRuntime(FILES);
  const status = await postconf(fake.runtime, words);
  return { status, output: fake.output, errors: fake.errors };
}

const WARNING = "postfix/bounce: warning: /own, line 3: unknown template name: other -- ignoring this template\n";

describe("postconf -b and -t", () => {
  it("show the templates of bounce_template_file", async () => {
    const expanded = await run(["-b"]);
    assert.deepEqual([expanded.status, expanded.errors], [0, WARNING]);
    assert.match(expanded.output, /\nexpanded_delay_text = <<EOF\nof mx\.example\.org\nEOF\n/);
    const plain = await run(["-t"]);
    assert.match(plain.output, /\nPostmaster-Subject: Postmaster Warning: Delayed Mail\n\nof \$myhostname\nEOF\n/);
  });

  it("show the built-in ones for an empty name", async () => {
    assert.deepEqual(await run(["-t", ""]), { status: 0, output: templatesText(BUILT_IN), errors: "" });
  });

  const ROWS: readonly (readonly [readonly string[], string])[] = [
    [["-b", "/none"], "postfix/bounce: fatal: open /none: No such file or directory\n"],
    [["-t", "/fault"], "postfix/bounce: fatal: /fault, line 2: missing '=' after attribute name: \"nonsense\"\n"],
    [["-b", "-t"], "postconf: fatal: specify one of -b and -t\n"],
    [["-t", "-x", "-n"], "postconf: fatal: with option -t, do not specify -n -x\n"],
    [["-b", "-M"], "postconf: fatal: specify one of -b -M\n"],
    [["-b", "a", "b"], "postconf: fatal: options -b and -t require at most one template file\n"],
  ];
  for (const [words, errors] of ROWS) {
    it(`${words.join(" ")} says why not`, async () => {
      assert.deepEqual(await run(words), { status: 1, output: "", errors });
    });
  }

  it("read the file that is named", () => {
    const { runtime } = fakeRuntime(FILES);
    const request = { option: "t", directory: "/etc/postfix", overrides: {}, file: "/fault" } as const;
    assert.throws(() => shownTemplates(runtime, request, () => {}), ConfigError);
  });
});
