import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { postconf } from "../../src/commands/postconf.ts";
import { configured, fakeRuntime } from "../config/fake-runtime.ts";

async function run(
  main: string,
  words: readonly string[],
): Promise<{ status: number; output: string; errors: string }> {
  const fake = configured(main, "smtp inet n - n - - smtpd\nslow unix - - n - - smtp\n");
  const status = await postconf(fake.runtime, words);
  return { status, output: fake.output, errors: fake.errors };
}

const rows: readonly (readonly [string, readonly string[], string])[] = [
  ["mydomain = a\n  b", ["mydomain"], "mydomain = a b\n"],
  ["relayhost =", ["relayhost"], "relayhost =\n"],
  ["relayhost =", ["-h", "relayhost", "mydomain"], "\nexample.org\n"],
  ["", ["-H", "mydomain", "myhostname"], "mydomain\nmyhostname\n"],
  ["", ["smtpd_timeout"], "smtpd_timeout = ${stress?{10}:{300}}s\n"],
  ["", ["-x", "smtpd_timeout"], "smtpd_timeout = 300s\n"],
  ["smtpd_timeout=1", ["-d", "smtpd_timeout"], "smtpd_timeout = ${stress?{10}:{300}}s\n"],
  ["mydomain=$x\nx=y\nb=$nosuch$x\n", ["-n"], "mydomain = $x\nx = y\n"],
  [
    "relayhost=r\nmydomain=d\n2bounce_notice_recipient=x",
    ["-n"],
    "2bounce_notice_recipient = x\nmydomain = d\nrelayhost = r\n",
  ],
  ["slow_destination_rate_delay=3\nnosuch_destination_rate_delay=4", ["-n"], "slow_destination_rate_delay = 3\n"],
  ["", ["-h", "slow_destination_rate_delay"], "$default_destination_rate_delay\n"],
  ["", ["-o", "mydomain = foo", "-xh", "myorigin", "mydomain"], "mx1.example.org\nfoo\n"],
  ["", ["-n", "-c", "/etc/postfix"], "config_directory = /etc/postfix\n"],
  ["", ["--", "mydomain"], "mydomain = example.org\n"],
  [
    "",
    ["-xh", "default_rbl_reply"],
    "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using $rbl_domain${rbl_reason?; $rbl_reason}\n",
  ],
];

describe("postconf", () => {
  for (const [main, words, output] of rows) {
    it(`${words.join(" ")} with ${JSON.stringify(main)}`, async () => {
      const ran = await run(main, words);
      assert.equal(ran.output, output);
      assert.equal(ran.status, 0);
    });
  }
  it("warns about unknown names, with status 0", async () => {
    const ran = await run("", ["nosuch", "mydomain"]);
    assert.deepEqual(ran, {
      status: 0,
      output: "mydomain = example.org\n",
      errors: "postconf: warning: nosuch: unknown parameter\n",
    });
  });
  it("does not take options behind names", async () => {
    assert.equal((await run("", ["mydomain", "-h"])).errors, "postconf: warning: -h: unknown parameter\n");
  });
  it("warns about unused and undefined names", async () => {
    const ran = await run("foo=1\nmydomain=$bar\n", ["-n"]);
    assert.deepEqual(ran.errors.split("\n").sort(), [
      "",
      "postconf: warning: /etc/postfix/main.cf: undefined parameter: bar",
      "postconf: warning: /etc/postfix/main.cf: unused parameter: foo=1",
    ]);
  });
  it("names what is not implemented", async () => {
    const ran = await run("smtpd_tls_security_level=may\n", ["-n"]);
    assert.match(ran.errors, /main.cf: recognised, not implemented: smtpd_tls_security_level\n/);
  });
  const faults: readonly (readonly [string, readonly string[], string])[] = [
    ["junk", ["mydomain"], `postconf: fatal: /etc/postfix/main.cf, line 1: missing '=' after attribute name: "junk"\n`],
    ["", ["-nd"], "postconf: fatal: specify one of -d -n\n"],
    ["", ["-hH"], "postconf: fatal: specify one of -h -H\n"],
    ["", ["-o", "x"], "postconf: fatal: invalid parameter override: x: missing '=' after attribute name\n"],
    ["", ["-c", "/no", "x"], "postconf: fatal: open /no/main.cf: No such file or directory\n"],
    ["", ["-e", "x=y"], "postconf: fatal: option -e is not implemented\n"],
    [
      "mydomain=${a",
      ["-x", "mydomain"],
      'postconf: warning: truncated macro reference: "${a"\n' +
      "postconf: fatal: dictionary mail_dict: macro processing error\n",
    ],
  ];
  for (const [main, words, errors] of faults) {
    it(`${words.join(" ")} fails with ${JSON.stringify(main)}`, async () => {
      const ran = await run(main, words);
      assert.equal(ran.errors.endsWith(errors), true, ran.errors);
      assert.equal(ran.status, 1);
    });
  }
  it("explains its options", async () => {
    const ran = await run("", ["-z"]);
    assert.match(ran.errors, /invalid option -- 'z'\npostconf: fatal: usage: postconf /);
    assert.equal(ran.status, 1);
  });
  it("does without main.cf for -d and without master.cf", async () => {
    const fake = fakeRuntime({});
    assert.equal(await postconf(fake.runtime, ["-d", "mydomain"]), 0);
    assert.equal(fake.output, "mydomain = example.org\n");
  });
});
