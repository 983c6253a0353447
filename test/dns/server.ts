/**
 * A name server that does what its rows say, over UDP and TCP on one port.
 *   "x.example MX": [{…}]            these records
 *   "x.example MX": "SERVFAIL"       that rcode;  "drop": no answer;  "garbage": bytes that are no message
 * A name with no row of any type is NXDOMAIN, one with rows of other types only is NODATA.
 */

import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import * as packet from "dns-packet";
import type { PacketRecord } from "dns-packet";

export type Zone = Readonly<
  Record<string, readonly unknown[] | "SERVFAIL" | "REFUSED" | "FORMERR" | "drop" | "garbage">
>;

export interface NameServerSettings {
  zone: Zone;
  /** Sets AD in answers to queries that ask for it. */
  secure?: boolean;
  /** UDP answers are cut short: TCP has the whole. */
  truncate?: boolean;
  /** Milliseconds before each answer. */
  delay?: number;
  /** Seconds of every record. */
  ttl?: number;
  /** Neither authoritative nor recursive. */
  lame?: boolean;
  /** Refuses queries with EDNS. */
  noEdns?: boolean;
}

export interface TestNameServer {
  readonly address: string;
  /** "x.example MX" for each query, in order. */
  readonly queries: string[];
  /** How many of them came over TCP. */
  overTcp: number;
  settings: NameServerSettings;
  close(): Promise<void>;
}

const RCODES: Readonly<Record<string, number>> = { FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 };
const AUTHENTIC_DATA = 1 << 5;
const RECURSION_AVAILABLE = 1 << 7;
const TRUNCATED = 1 << 9;

function reply(server: TestNameServer, query: Uint8Array, tcp: boolean): Uint8Array | null {
  const asked = packet.decode(query);
  const question = asked.questions?.[0];
  if (question === undefined) return null;
  const { zone, secure, truncate, ttl = 60, noEdns, lame } = server.settings;
  const key = `${question.name.toLowerCase()} ${question.type}`;
  server.queries.push(key);
  if (tcp) server.overTcp++;
  const edns = (asked as { additionals?: readonly { type: string }[] }).additionals?.some((row) => row.type === "OPT");
  const answers: PacketRecord[] = [];
  let rcode = noEdns && edns ? "FORMERR" : "";
  let name = question.name.toLowerCase();
  const row = (type: string) => zone[`${name} ${type}`];
  for (let steps = 0; rcode === "" && steps < 12; steps++) {
    const found = row(question.type);
    if (found === "drop") return null;
    if (found === "garbage") {
      return new Uint8Array([query[0] ?? 0, query[1] ?? 0, 0x81, 0x80, 0, 1, 0, 9, 0, 0, 0, 0, 200, 1]);
    }
    if (typeof found === "string") rcode = found;
    else if (found !== undefined) {
      for (const data of found) answers.push({ name, type: question.type, class: "IN", ttl, data });
      break;
    }
    const alias = row("CNAME");
    if (rcode !== "" || !Array.isArray(alias)) break;
    answers.push({ name, type: "CNAME", class: "IN", ttl, data: alias[0] });
    // "!" at the end: the server does not know the rest of the chain.
    if (String(alias[1] ?? "") === "stop") break;
    name = String(alias[0]).toLowerCase();
  }
  const known = Object.keys(zone).some((one) => one.startsWith(`${name} `));
  if (rcode === "" && !known) rcode = "NXDOMAIN";
  const short = truncate === true && !tcp;
  const soa = { mname: "ns.example", rname: "root.example", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: ttl };
  return packet.encode({
    id: asked.id ?? 0,
    type: "response",
    flags: (lame === true ? 0 : RECURSION_AVAILABLE) | (secure === true ? AUTHENTIC_DATA : 0) |
      (short ? TRUNCATED : 0) | (RCODES[rcode] ?? 0),
    questions: [question],
    answers: short ? [] : answers,
    authorities: answers.length === 0 ? [{ name: "example", type: "SOA", class: "IN", ttl, data: soa }] : [],
  });
}

/** On a free port of 127.0.0.1, or where `at` says. */
export async function nameServer(
  settings: NameServerSettings,
  at: { readonly host: string; readonly port: number } = { host: "127.0.0.1", port: 0 },
): Promise<TestNameServer> {
  const udp = createSocket("udp4");
  const sockets = new Set<Socket>();
  const tcp: Server = createServer();
  const server: TestNameServer = {
    address: "",
    queries: [],
    overTcp: 0,
    settings,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((done) => tcp.close(() => done()));
      await new Promise<void>((done) => udp.close(() => done()));
    },
  };
  const later = (action: () => void): void => void setTimeout(action, server.settings.delay ?? 0);
  udp.on("message", (query, from) => {
    const answer = reply(server, query, false);
    if (answer !== null) later(() => udp.send(answer, from.port, from.address));
  });
  tcp.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    let input = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      input = Buffer.concat([input, chunk]);
      if (input.length < 2 || input.length < input.readUInt16BE(0) + 2) return;
      const answer = reply(server, input.subarray(2), true);
      if (answer === null) return void socket.destroy();
      later(() => {
        socket.write(Uint8Array.of(answer.length >> 8, answer.length & 255));
        // In two pieces: a message over TCP comes in any number of them.
        socket.write(answer.subarray(0, 3));
        setTimeout(() => socket.write(answer.subarray(3)), 5);
      });
    });
  });
  for (let attempt = 0;; attempt++) {
    const port = await new Promise<number>((done) => {
      tcp.listen(at.port, at.host, () => done((tcp.address() as { port: number }).port));
    });
    const bound = await new Promise<boolean>((done) => {
      udp.once("error", () => done(false));
      udp.bind(port, at.host, () => done(true));
    });
    if (bound) {
      (server as { address: string }).address = `${at.host}:${port}`;
      return server;
    }
    if (attempt > 5) throw new Error("no port is free for both UDP and TCP");
    await new Promise<void>((done) => tcp.close(() => done()));
  }
}
