/** The parts that need no server: replies, command lines, next hops, order, deadlines, parameters. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { latin1Encode } from "../../src/latin1.ts";
import type { Timer } from "../../src/runtime.ts";
import { encodeXtext as xtext } from "../../src/address.ts";
import { commandLine, extensionsOf } from "../../src/smtp/commands.ts";
import { Deadlines } from "../../src/smtp/deadlines.ts";
import { parseNextHop } from "../../src/smtp/nexthop.ts";
import { balanced, byPreference } from "../../src/smtp/order.ts";
import { smtpParameters } from "../../src/smtp/parameters.ts";
import type { Response } from "../../src/smtp/response.ts";
import { ResponseReader, statusOfResponse } from "../../src/smtp/response.ts";

function read(...chunks: readonly Uint8Array[]): { responses: Response[]; odd: string[]; fine: boolean } {
  const responses: Response[] = [];
  const odd: string[] = [];
  const reader = new ResponseReader((response) => void responses.push(response), (kind) => void odd.push(kind));
  let fine = true;
  for (const chunk of chunks) fine = reader.feed(chunk) && fine;
  return { responses, odd, fine };
}

describe("replies", () => {
  it("are the same however they are cut", () => {
    const replyLine = fc.tuple(
      fc.integer({ min: 200, max: 599 }),
      fc.constantFrom(" ", "-"),
      fc.string({ maxLength: 20 }),
    );
    fc.assert(fc.property(fc.array(replyLine, { maxLength: 8 }), fc.array(fc.nat(30)), (lines, cuts) => {
      const bytes = latin1Encode(lines.map(([code, mark, text]) => `${code}${mark}${text}\r\n`).join(""));
      const whole = read(bytes).responses;
      assert.deepEqual(read(...Array.from(bytes, (byte) => Uint8Array.of(byte))).responses, whole);
      let at = 0;
      const pieces = [...cuts.map((size) => bytes.subarray(at, at += size)), bytes.subarray(at)];
      assert.deepEqual(read(...pieces).responses, whole);
    }));
  });

  it("binary garbage neither throws nor grows", () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (chunks) => {
      for (const response of read(...chunks).responses) assert.ok(response.text.length <= 2 * 2048 + 1);
    }));
    const endless = latin1Encode("x".repeat(60_000));
    const { responses, fine } = read(endless, endless, endless);
    assert.deepEqual([responses.length, fine], [0, true]);
    assert.equal(read(latin1Encode("250-more\r\n".repeat(2000))).fine, false);
  });

  const statuses = [
    ["250 2.1.5 Ok", "2.1.5"],
    ["250 Ok", "2.0.0"],
    ["450 4.2.0", "4.2.0"],
    ["450 4.2.0x", "4.0.0"],
    ["450 5.1.1 no", "4.0.0"],
    ["354 go", "5.5.0"],
    ["550 5.1.1000 x", "5.0.0"],
  ];
  for (const [line = "", status] of statuses) {
    it(`${line} is ${status}`, () => {
      assert.equal(statusOfResponse(read(latin1Encode(line + "\r\n")).responses[0] as Response), status);
    });
  }

  it("UTF-8 stays, other 8-bit text does not", () => {
    assert.equal(read(latin1Encode("550 gr\xc3\xbcn\n")).responses[0]?.text, "550 gr\xc3\xbcn");
    assert.equal(read(latin1Encode("550 gr\xfcn\n")).responses[0]?.text, "550 gr?n");
  });
});

describe("commands", () => {
  it("hold no CR, LF or NUL", () => {
    for (const bad of ["a\rb", "a\nb", "a\0b"]) assert.throws(() => commandLine(bad), RangeError);
    assert.equal(commandLine("NOOP"), "NOOP\r\n");
  });

  it("xtext", () => assert.equal(xtext("a b+c=d\xe4"), "a+20b+2Bc+3Dd+E4"));

  it("EHLO keywords, but those to be overlooked", () => {
    const lines = ["250-host", "250-pipelining", "250-SIZE 1000", "250-8BITMIME", "250-XFORWARD name ADDR", "250 DSN"]
      .concat("250 SMTPUTF8");
    const xforward = new Set(["NAME", "ADDR"]);
    const all = {
      pipelining: true,
      eightBitMime: true,
      dsn: true,
      smtputf8: true,
      size: true,
      sizeLimit: 1000,
      xforward,
    };
    assert.deepEqual(extensionsOf(lines, []), all);
    assert.deepEqual(extensionsOf(lines, ["dsn", "size"]), { ...all, dsn: false, size: false, sizeLimit: 0 });
    assert.equal(extensionsOf(["250 host PIPELINING"], []).pipelining, false);
  });
});

describe("next hops", () => {
  const rows = [
    ["x.example", "smtp", { kind: "inet", host: "x.example", port: 25, bracketed: false }],
    ["x.example:587", "smtp", { kind: "inet", host: "x.example", port: 587, bracketed: false }],
    ["x.example:submission", "smtp", { kind: "inet", host: "x.example", port: 587, bracketed: false }],
    ["[x.example]:26", "smtp", { kind: "inet", host: "x.example", port: 26, bracketed: true }],
    ["[192.0.2.1]", "smtp", { kind: "inet", host: "192.0.2.1", port: 25, bracketed: true }],
    ["[ipv6:2001:db8::1]:26", "smtp", { kind: "inet", host: "2001:db8::1", port: 26, bracketed: true }],
    ["[IPv6:2001:db8::1]", "smtp", { kind: "inet", host: "2001:db8::1", port: 25, bracketed: true }],
    ["unix:/run/lmtp", "lmtp", { kind: "unix", path: "/run/lmtp" }],
    ["inet:x.example:24", "lmtp", { kind: "inet", host: "x.example", port: 24, bracketed: false }],
    ["x.example", "lmtp", { kind: "inet", host: "x.example", port: 24, bracketed: false }],
    ["x.example:0", "smtp", { fault: "unknown service: 0/tcp" }],
    ["[x", "smtp", { fault: "bad next hop: [x" }],
  ] as const;
  for (const [text, protocol, parsed] of rows) {
    it(`${protocol}:${text}`, () => {
      assert.deepEqual(parseNextHop(text, protocol, protocol === "smtp" ? "smtp" : "24"), parsed);
    });
  }
});

describe("order", () => {
  const list = (...addresses: readonly string[]) => addresses.map((address) => ({ address, preference: 0 }));

  it("by preference, then by the favoured family", () => {
    const hosts = [
      { address: "192.0.2.1", preference: 10 },
      { address: "2001:db8::1", preference: 10 },
      { address: "192.0.2.2", preference: 5 },
    ];
    const order = (family: string) => byPreference(hosts, family).map((host) => host.address);
    assert.deepEqual(order("any"), ["192.0.2.2", "192.0.2.1", "2001:db8::1"]);
    assert.deepEqual(order("ipv6"), ["192.0.2.2", "2001:db8::1", "192.0.2.1"]);
  });

  it("both families are among those tried", () => {
    const six = list("::1", "::2", "::3", "::4", "::5", "::6");
    const chosen = balanced([...six, ...list("192.0.2.1", "192.0.2.2", "192.0.2.3")], 5).map((one) => one.address);
    assert.deepEqual(chosen, ["::1", "::2", "::3", "192.0.2.1", "192.0.2.2"]);
    assert.deepEqual(balanced([...six, ...list("192.0.2.1")], 5).map((one) => one.address), [
      "::1",
      "::2",
      "::3",
      "::4",
      "192.0.2.1",
    ]);
    assert.equal(balanced(six, 5).length, 5);
  });
});

describe("deadlines", () => {
  it("ring once, in time, on one timer", () => {
    let now = 0;
    const timers: { at: number; action: () => void }[] = [];
    const clock = {
      now: () => now,
      monotonic: () => now,
      after: (delay: number, action: () => void): Timer => {
        const timer = { at: now + delay, action };
        timers.push(timer);
        return { cancel: () => void timers.splice(timers.indexOf(timer), 1) };
      },
      soon: (action: () => void) => action(),
      zoneMinutes: () => 0,
      zoneName: () => "UTC",
    };
    const rung: string[] = [];
    const deadlines = new Deadlines(clock);
    const member = (name: string) => ({
      deadline: Infinity,
      expired: () => void rung.push(`${name}@${Math.round(now / 10)}`),
    });
    const [one, two] = [member("one"), member("two")];
    deadlines.add(one);
    deadlines.add(two);
    deadlines.set(one, 1000);
    deadlines.set(two, 300);
    for (let step = 0; step < 50; step++) {
      // Moved on again and again: no timer is set anew for it.
      if (step < 20) deadlines.set(one, 1000);
      assert.ok(timers.length <= 1);
      now += 50;
      for (const timer of [...timers]) if (timer.at <= now) (timers.splice(timers.indexOf(timer), 1), timer.action());
    }
    assert.deepEqual(rung, ["two@35", "one@200"]);
    deadlines.remove(one);
    deadlines.remove(two);
    assert.equal(timers.length, 0);
  });
});

describe("parameters", () => {
  it("lmtp has its own values under the same names", () => {
    const config = { myhostname: "h.example", smtp_mail_timeout: 1, lmtp_mail_timeout: 2, lmtp_lhlo_name: "l.example" };
    const smtp = smtpParameters(config, "smtp");
    const lmtp = smtpParameters(config, "lmtp");
    assert.deepEqual([smtp.smtp_mail_timeout, lmtp.smtp_mail_timeout], [1, 2]);
    assert.deepEqual([smtp.smtp_helo_name, lmtp.smtp_helo_name], ["h.example", "l.example"]);
    assert.deepEqual([smtp.smtp_tcp_port, lmtp.smtp_tcp_port], ["smtp", "24"]);
  });
});
