import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { currentRuntime } from "../../runtimes/select.ts";
import { explain } from "../../src/commands/explain.ts";
import { ConfigError } from "../../src/errors.ts";
import { parseDnsScript } from "../../src/explain/dns.ts";
import { entryPlace } from "../../src/explain/tables.ts";
import { Trace, traceText } from "../../src/explain/trace.ts";
import { Site } from "../commands/site.ts";

const DNS = `# scripted
203.0.113.9        PTR  c.isp.example
c.isp.example      A    203.0.113.9
good.example       MX   10 mx.good.example
alias.example      CNAME good.example
tmp.example        SERVFAIL
9.113.0.203.bl.example A 127.0.0.2   # listed
9.113.0.203.bl.example TXT "see http://bl.example/"
`;

let site: Site;
before(() => {
  site = new Site(`mydestination = home.example
local_recipient_maps = inline:{user=x}
alias_maps =
smtpd_sender_restrictions = reject_unknown_sender_domain
smtpd_recipient_restrictions =
`);
  const file = (name: string, text: string): void => writeFileSync(`${site.root}/${name}`, text);
  file("senders", "# senders\nother.example OK\nspam.example\n  REJECT we know you\n");
  file("clients", "10.0.0.0/8 OK\n\n203.0.113.0/24 REJECT no\n");
  file("headers", "/^Subject: a/ WARN\nif /^Subject/\n/spam/ REJECT no spam\nendif\n");
  file("virtual", "list@valias.example user@home.example, far@far.example\n");
  file("transport", "far.example smtp:[gw.example]:26\n");
  file("dns", DNS);
  const main = `virtual_alias_domains = valias.example
virtual_alias_maps = hash:${site.root}/virtual
transport_maps = hash:${site.root}/transport
smtpd_client_restrictions =
  check_sender_access hash:${site.root}/senders
  ,reject_rbl_client bl.example
`;
  writeFileSync(`${site.etc}/main.cf`, main, { flag: "a" });
  writeFileSync(
    `${site.etc}/master.cf`,
    "smtp inet n - n - - smtpd\n  -o { header_checks = static:REJECT }\n" +
      "26 inet n - n - - smtpd -o smtpd_client_restrictions=\n",
  );
});
after(() => site.remove());

const ask = (...words: string[]) =>
  site.run(explain, ["--config", site.etc, "--dns", `${site.root}/dns`, "--service", "26", ...words]);

describe("explain", () => {
  it("shows list, restriction, table entry with their places, and the reply", async () => {
    const { output, status } = await ask(
      "--service=smtp",
      "--name=c.example",
      "--sender=x@spam.example",
      "user@home.example",
    );
    const main = `${site.etc}/main.cf`;
    assert.equal(status, 1);
    assert.match(output, new RegExp(`^  smtpd_client_restrictions -> 554 .*\\[${main}, line \\d+\\]$`, "m"));
    assert.match(output, /^ {4}check_sender_access hash:.* -> 554 5\.7\.1 <x@spam\.example>: .*: we know you$/m);
    assert.match(output, /^ {6}look up "spam.example" in .* -> "REJECT we know you" {2}\[\S+senders, line 4\]$/m);
    assert.match(output, /^RCPT TO:<user@home.example> -> 554 5\.7\.1 /m);
  });

  const CASES: readonly (readonly [what: string, words: readonly string[], status: number, shown: RegExp])[] = [
    ["a name server that is down", ["--sender=x@tmp.example", "user@home.example"], 75, /-> 450 4\.1\.8/],
    ["a CNAME", ["--sender=x@alias.example", "user@home.example"], 0, /dns MX alias\.example -> 10 mx\.good\.example/],
    ["the client's name", ["--client=203.0.113.9", "--sender=", "user@home.example"], 0, /dns PTR 9\.113.* -> c\.isp/],
    ["an unknown user", ["--sender=", "nobody@home.example"], 1, /smtpd_reject_unlisted_recipient -> 550 5\.1\.1/],
    ["a list", ["--sender=", "list@valias.example"], 0, /deliver to <far@far\.example> -> smtp:\[gw\.example\]:26/],
    [
      "a client that is listed",
      ["--service=smtp", "--client=203.0.113.9", "--sender=", "user@home.example"],
      1,
      /blocked using bl\.example; see http/,
    ],
  ];
  for (const [what, words, status, shown] of CASES) {
    it(`tells of ${what}`, async () => {
      const ran = await ask(...words);
      assert.match(ran.output, shown);
      assert.equal(ran.status, status, ran.output + ran.errors);
    });
  }

  it("holds a message against header_checks of main.cf, as cleanup does", async () => {
    writeFileSync(`${site.root}/message`, "Subject: buy spam\n\nbody\n");
    const words = ["--service=smtp", "--sender=", "--message", `${site.root}/message`, "user@home.example"];
    const { output, status } = await ask(...words);
    assert.equal(status, 0, output);
    writeFileSync(`${site.etc}/main.cf`, `header_checks = regexp:${site.root}/headers\n`, { flag: "a" });
    const checked = await ask(...words);
    assert.equal(checked.status, 1);
    assert.match(checked.output, /"Subject: buy spam" in regexp:\S+ -> "REJECT no spam" {2}\[\S+headers, line 3\]/);
    assert.match(checked.output, /^content and final dot -> 550 5\.7\.1 no spam$/m);
  });

  it("gives JSON to programs", async () => {
    const { output } = await ask("--json", "--sender=", "user@home.example");
    const { replies, deliveries, steps } = JSON.parse(output) as Record<string, readonly Record<string, unknown>[]>;
    assert.deepEqual(replies!.at(-1)!["command"], "content and final dot");
    assert.deepEqual(deliveries, [{ recipient: "user@home.example", transport: "local", nexthop: "mx.test.example" }]);
    assert.equal(steps![0]!["kind"], "command");
  });

  it("queues nothing", async () => {
    await ask("--sender=", "user@home.example");
    const queued = await site.withStore((store) => Promise.resolve(store.count("incoming") + store.count("deferred")));
    assert.equal(queued, 0);
  });

  for (
    const [words, status, shown] of [
      [[], 64, /no recipient is given[^]*--client/],
      [["--nosuch", "x@y"], 64, /unknown option --nosuch/],
      [["--client=here", "x@y"], 69, /--client here is not an address/],
      [["--service=99", "x@y"], 69, /master\.cf has no smtpd service "99"/],
    ] as const
  ) {
    it(`refuses ${JSON.stringify(words)}`, async () => {
      const ran = await ask(...words);
      assert.match(ran.errors, shown);
      assert.equal(ran.status, status);
    });
  }
});

describe("the place of an entry", () => {
  for (
    const [table, key, line] of [
      ["hash:senders", "spam.example", 4],
      ["hash:senders", "other.example", 2],
      ["hash:senders", "none.example", 0],
      ["cidr:clients", "203.0.113.200", 3],
      ["regexp:headers", "Subject: spam", 3],
      ["regexp:headers", "Subject: a spam", 1],
      ["inline:{a=b}", "a", 0],
    ] as const
  ) {
    it(`${table} "${key}"`, async () => {
      const path = table.replace(/:(?!\{)/, `:${site.root}/`);
      const place = entryPlace(await currentRuntime(), path, key);
      assert.equal(place, line === 0 ? "" : `${path.slice(path.indexOf(":") + 1)}, line ${line}`);
    });
  }
});

describe("a DNS script", () => {
  it("names each line that it cannot read", () => {
    assert.throws(
      () => parseDnsScript("a.example A\nb.example HINFO x\nc.example MX mx.example\n", "zone"),
      (error) => {
        assert.ok(error instanceof ConfigError);
        assert.deepEqual(error.faults.map((fault) => fault.slice(0, 20)), [
          "fatal: zone, line 1:",
          "fatal: zone, line 2:",
          "fatal: zone, line 3:",
        ]);
        return true;
      },
    );
  });
});

describe("Trace", () => {
  it("shows steps within steps", () => {
    const trace = new Trace();
    trace.enter("list", "outer", "main.cf, line 1");
    trace.add("table", "key\r\n  on two lines", "found");
    trace.leave("permit");
    trace.add("log", "line");
    assert.equal(
      traceText(trace.steps),
      "outer -> permit  [main.cf, line 1]\n  look up key on two lines -> found\nlog line\n",
    );
  });
});
