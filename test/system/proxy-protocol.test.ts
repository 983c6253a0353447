/**
 * Load balancers beside Debian's Postfix: the same PROXY headers, the same replies and log lines. Ours also takes a
 * header that comes in pieces; Debian's takes what one read gives.
 */

import assert from "node:assert/strict";
import net from "node:net";
import { after, before, describe, test } from "node:test";
import { freePort, type Running, startPostrider, until } from "../postrider.ts";
import { version2 } from "../smtpd/proxy-header.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix } from "./debian-postfix.ts";

const FOUR = [1, 2, 3, 4, 5, 6, 7, 8, 0x10, 0x92, 0, 25];
const SIX = [...Array<number>(15).fill(0), 1, 0x20, 1, 0xd, 0xb8, ...Array<number>(11).fill(0), 2, 1, 2, 0, 25];
const MAPPED = [...Array<number>(10).fill(0), 255, 255, 1, 2, 3, 4, ...Array<number>(10).fill(0), 255, 255, 5, 6, 7, 8];

const INPUTS: readonly (string | Uint8Array)[] = [
  "PROXY TCP4 1.2.3.4 4.3.2.1 123 321\r\n",
  "PROXY TCP4 1.2.3.4 4.3.2.1 123 321\n",
  "PROXY tcp4 1.2.3.4 4.3.2.1 0 0\r\n",
  "PROXY TCP4 1.2.3.4 4.3.2.1 1 2 extra\r\n",
  `PROXY TCP4 1.2.3.4 4.3.2.1 1 2${" ".repeat(200)}\r\n`,
  "PROXY TCP6 fc:00:00:00:1:2:3:4 FC:00:00:00:4:3:2:1 123 321\r\n",
  "PROXY TCP6 ::ffff:1.2.3.4 ::ffff:4.3.2.1 123 321\r\n",
  "PROXY UNKNOWN\r\n",
  "PROXY UNKNOWN 1.2.3.4 4.3.2.1 123 321\r\n",
  "PROXY BLAH 1.2.3.4 4.3.2.1 1 2\r\n",
  "PROXY TCP4 1.2.3.400 4.3.2.1 1 2\r\n",
  "PROXY TCP4 ::1 4.3.2.1 1 2\r\n",
  "PROXY TCP4 1.2.3.4 4.3.2 1 2\r\n",
  "PROXY TCP4 1.2.3.4 4.3.2.1 123456 2\r\n",
  "PROXY TCP4 1.2.3.4 4.3.2.1 0123 2\r\n",
  "PROXY TCP4 1.2.3.4 4.3.2.1 1 x\r\n",
  "PROXY TCP4 1.2.3.4\r\n",
  "proxy TCP4 1.2.3.4 4.3.2.1 1 2\r\n",
  "EHLO x\r\n",
  "\x16\x03\x01\x02\r\n",
  version2(0x21, 0x11, FOUR),
  version2(0x21, 0x11, [...FOUR, 4, 0, 1, 7]),
  version2(0x21, 0x21, SIX),
  version2(0x21, 0x21, [...MAPPED, 1, 2, 0, 25]),
  version2(0x20, 0x00, []),
  version2(0x20, 0x11, FOUR),
  version2(0x21, 0x12, FOUR),
  version2(0x21, 0x00, []),
  version2(0x21, 0x11, FOUR.slice(0, 8)),
  version2(0x25, 0x11, FOUR),
  version2(0x31, 0x11, FOUR),
  "PROXY TCP4 1.2.3",
  version2(0x21, 0x11, FOUR.slice(0, 5), 12),
  version2(0x21, 0x11, []).subarray(0, 12),
  "",
];

const MAIN = `smtpd_upstream_proxy_timeout = 1s
smtpd_client_connection_count_limit = 0
`;

/** What the server says: greeting, and the replies to EHLO and QUIT. */
function talk(port: number, input: string | Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    let text = "";
    let said = 0;
    socket.setTimeout(10_000, () => socket.destroy());
    socket.on("data", (chunk: Uint8Array) => {
      text += Buffer.from(chunk).toString("latin1");
      if (said === 0 && text.startsWith("220 ")) said = socket.write("EHLO client.example\r\n") ? 1 : 1;
      else if (said === 1 && /^250 /m.test(text)) said = socket.write("QUIT\r\n") ? 2 : 2;
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(text.replace(/^250[- ].*\r\n/gm, "").replace(/ESMTP .*/, "ESMTP")));
    if (input.length > 0) socket.write(typeof input === "string" ? Buffer.from(input, "latin1") : input);
  });
}

const sessions = (log: string): string[] =>
  [...log.matchAll(/smtpd\[\d+\]: ((?:warning: haproxy|connect|disconnect).*)$/gm)].map((match) => match[1]!);

describe("the PROXY protocol beside Debian's Postfix", { skip: !debianPostfix }, () => {
  let ours: Running;
  let theirs: DebianPostfix;
  /** Of services with both families, and with IPv4 alone. */
  let ports: { readonly ours: readonly number[]; readonly theirs: readonly number[] };

  before(async () => {
    const two = async (): Promise<number[]> => [await freePort(), await freePort()];
    ports = { ours: await two(), theirs: await two() };
    const services = ([both, four]: readonly number[]): string =>
      [`127.0.0.1:${both} -o inet_protocols=all`, `127.0.0.1:${four} -o inet_protocols=ipv4`]
        .map((line) => line.replace(" ", " inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy ")).join("\n");
    theirs = await startDebianPostfix(MAIN, { services: services(ports.theirs) });
    ours = await startPostrider({ main: MAIN, master: services(ports.ours) });
  });
  after(async () => {
    await ours?.remove();
    theirs?.stop();
  });

  test("the same replies, with both families and with IPv4 alone", async () => {
    for (const at of [0, 1]) {
      for (const input of INPUTS) {
        const [one, two] = await Promise.all([talk(ports.ours[at]!, input), talk(ports.theirs[at]!, input)]);
        assert.equal(one, two, String(input));
        assert.notEqual(one, "");
      }
    }
  });

  test("the same log lines", async () => {
    // The test's helper has looked whether ours greets.
    const mine = (): string[] => {
      const all = sessions(ours.log);
      return all.slice(all.findIndex((line) => line.includes("[1.2.3.4]")));
    };
    const done = (lines: readonly string[]): boolean =>
      lines.filter((line) => line.startsWith("disconnect")).length >= 2 * INPUTS.length;
    await until(() => done(mine()) && done(sessions(theirs.log())), 5_000, () => ours.log);
    assert.deepEqual(mine(), sessions(theirs.log()));
  });
});
