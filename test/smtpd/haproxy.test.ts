import assert from "node:assert/strict";
import { test } from "node:test";
import { latin1Encode } from "../../src/latin1.ts";
import { readProxyHeader } from "../../src/smtpd/haproxy.ts";
import { Seeded } from "../queue/simulated-disk.ts";
import { SEED } from "../seed.ts";
import { version2 } from "./proxy-header.ts";

const BOTH = { ipv4: true, ipv6: true };
const FOUR = [1, 2, 3, 4, 5, 6, 7, 8, 0x10, 0x92, 0, 25];
const SIX = [...Array<number>(15).fill(0), 1, 0x20, 1, 0xd, 0xb8, ...Array<number>(11).fill(0), 2, 1, 2, 0, 25];
const MAPPED = [...Array<number>(10).fill(0), 255, 255, 1, 2, 3, 4, ...Array<number>(10).fill(0), 255, 255, 5, 6, 7, 8];

const shown = (input: Uint8Array | string, families = BOTH): string => {
  const read = readProxyHeader(typeof input === "string" ? latin1Encode(input) : input, families);
  if (read.kind !== "header") return `${read.kind}: ${read.why}`;
  const { peer } = read;
  if (peer === null) return `${read.length} itself`;
  return `${read.length} ${peer.address}:${peer.port} ${peer.localAddress}:${peer.localPort}`;
};

test("version 1", () => {
  const rows: readonly (readonly [string, string])[] = [
    ["PROXY TCP4 1.2.3.4 4.3.2.1 123 321\r\nEHLO", "36 1.2.3.4:123 4.3.2.1:321"],
    ["PROXY tcp4 1.2.3.4 4.3.2.1 0 65535\n", "35 1.2.3.4:0 4.3.2.1:65535"],
    ["PROXY TCP6 fc:00:00:00:1:2:3:4 FC::4 123 321\r\n", "46 fc::1:2:3:4:123 fc::4:321"],
    ["PROXY TCP6 ::ffff:1.2.3.4 ::1 123 321\r\n", "39 1.2.3.4:123 ::1:321"],
    ["PROXY UNKNOWN\r\n", "bad: bad or missing protocol type"],
    ["PROXY TCP4 1.2.3.400 4.3.2.1 1 2\r\n", "bad: bad or missing client address"],
    ["PROXY TCP4 ::ffff:1.2.3.4 4.3.2.1 1 2\r\n", "bad: bad or missing client address"],
    ["PROXY TCP6 1.2.3.4 4.3.2.1 1 2\r\n", "bad: bad or missing client address"],
    ["PROXY TCP4 01.02.03.04 4.3.2.1 1 2\r\n", "bad: bad or missing client address"],
    ["PROXY TCP4 1.2.3.4\r\n", "bad: bad or missing server address"],
    ["PROXY TCP4 1.2.3.4 4.3.2.1 0123 2\r\n", "bad: bad or missing client port"],
    ["PROXY TCP4 1.2.3.4 4.3.2.1 1 65536\r\n", "bad: bad or missing server port"],
    ["proxy TCP4 1.2.3.4 4.3.2.1 1 2\r\n", "bad: unrecognized protocol header"],
    ["EHLO x\r\n", "bad: short protocol header"],
    ["PROX", "more: short protocol header"],
    ["PROXY TCP4 1.2.3", "more: missing protocol header terminator"],
    [`PROXY ${" ".repeat(540)}`, "bad: missing protocol header terminator"],
  ];
  for (const [input, expected] of rows) assert.equal(shown(input), expected, input);
});

test("version 2", () => {
  const rows: readonly (readonly [Uint8Array, string])[] = [
    [version2(0x21, 0x11, FOUR), "28 1.2.3.4:4242 5.6.7.8:25"],
    [version2(0x21, 0x11, [...FOUR, 4, 0, 1, 7]), "32 1.2.3.4:4242 5.6.7.8:25"],
    [version2(0x21, 0x21, SIX), "52 ::1:258 2001:db8::2:25"],
    [version2(0x21, 0x21, [...MAPPED, 1, 2, 0, 25]), "52 1.2.3.4:258 5.6.7.8:25"],
    [version2(0x20, 0x00, []), "16 itself"],
    [version2(0x20, 0x11, FOUR), "28 itself"],
    [version2(0x21, 0x12, FOUR), "bad: unsupported network protocol"],
    [version2(0x21, 0x00, []), "bad: unsupported network protocol"],
    [version2(0x21, 0x31, Array<number>(216).fill(0)), "bad: unsupported network protocol"],
    [version2(0x21, 0x11, FOUR.slice(0, 8)), "bad: short address field"],
    [version2(0x25, 0x11, FOUR), "bad: bad command in proxy header"],
    [version2(0x31, 0x11, FOUR), "bad: unrecognized protocol version"],
    [version2(0x21, 0x11, FOUR.slice(0, 5), 12), "more: short version 2 protocol header"],
    [version2(0x21, 0x11, [...FOUR, ...Array<number>(600).fill(0)]), "bad: short version 2 protocol header"],
    [version2(0x21, 0x11, []).subarray(0, 12), "more: short protocol header"],
  ];
  for (const [input, expected] of rows) assert.equal(shown(input), expected, String(input));
});

test("addresses of a family that inet_protocols lacks are refused", () => {
  const four = { ipv4: true, ipv6: false };
  const six = { ipv4: false, ipv6: true };
  assert.equal(shown("PROXY TCP6 ::1 ::1 1 2\r\n", four), "bad: bad or missing protocol type");
  assert.equal(shown("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", six), "bad: bad or missing protocol type");
  assert.equal(shown(version2(0x21, 0x21, SIX), four), "bad: Postfix IPv6 support is disabled");
  assert.equal(shown(version2(0x21, 0x11, FOUR), six), "bad: Postfix IPv4 support is disabled");
  assert.equal(shown(version2(0x21, 0x21, [...MAPPED, 1, 2, 0, 25]), six), "52 ::ffff:102:304:258 ::ffff:506:708:25");
});

test(`a header is never read before all of it is there (seed ${SEED})`, () => {
  const whole = [version2(0x21, 0x11, FOUR), version2(0x20, 0, []), latin1Encode("PROXY TCP4 1.2.3.4 4.3.2.1 1 2\r\n")];
  for (const bytes of whole) {
    for (let length = 0; length < bytes.length; length++) {
      assert.equal(readProxyHeader(bytes.subarray(0, length), BOTH).kind, "more");
    }
  }
  const random = new Seeded(SEED);
  for (let round = 0; round < 2_000; round++) {
    const start = whole[random.below(whole.length)] as Uint8Array;
    const bytes = Uint8Array.from([
      ...start.subarray(0, random.below(start.length)),
      ...Array.from({ length: random.below(40) }, () => random.below(256)),
    ]);
    const read = readProxyHeader(bytes, BOTH);
    if (read.kind === "header") assert.ok(read.length <= bytes.length);
  }
});
