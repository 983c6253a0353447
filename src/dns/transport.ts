/**
 * One question to the name servers: UDP with a fresh random port and id each time (RFC 5452 §9.2), TCP when the reply
 * was cut short (RFC 7766 §5), the next server after a timeout or a refusal, all of them `attempts` times.
 * Answers with the last useful reply, or with null when no server gave any. Never throws.
 */

import type { Clock, Network, Random } from "../runtime.ts";
import type { Question, Reply } from "./message.ts";
import { decodeReply, encodeQuery, plainName } from "./message.ts";
import { plainAddress } from "./literal.ts";
import type { NameServer, ServerSettings } from "./servers.ts";

/** "malformed": something came, but no well-formed reply; null: nothing came. */
export type Exchanged = Reply | "malformed" | null;

export interface TransportWorld {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
}

export async function ask(
  world: TransportWorld,
  settings: ServerSettings,
  question: Question,
  signal: AbortSignal,
): Promise<Exchanged> {
  let last: Exchanged = null;
  for (let attempt = 0; attempt < settings.attempts; attempt++) {
    for (const server of settings.servers) {
      if (signal.aborted) return last;
      const exchanged = await askOne(world, server, settings.timeout, question, signal);
      if (isFinal(exchanged)) return exchanged;
      if (exchanged !== null) last = exchanged;
    }
  }
  return last;
}

/** Whether asking another server could not make it better. */
function isFinal(exchanged: Exchanged): exchanged is Reply {
  if (exchanged === null || exchanged === "malformed") return false;
  return exchanged.rcode === "NXDOMAIN" || exchanged.rcode === "NOERROR" && !isReferral(exchanged);
}

/** A server that knows nothing and asks nobody; the C library passes it over too. */
export function isReferral(reply: Reply): boolean {
  return reply.rcode === "NOERROR" && reply.lame && reply.rows.length === 0 && !reply.truncated;
}

async function askOne(
  world: TransportWorld,
  server: NameServer,
  timeout: number,
  question: Question,
  signal: AbortSignal,
): Promise<Exchanged> {
  let reply = await overUdp(world, server, timeout, question, question.secure, signal);
  // RFC 6891 §7: a server that does not know EDNS says FORMERR; ask it plainly.
  if (question.secure && reply !== null && reply !== "malformed" && reply.rcode === "FORMERR") {
    reply = await overUdp(world, server, timeout, question, false, signal);
  }
  if (reply === null || reply === "malformed" || !reply.truncated) return reply;
  return overTcp(world, server, timeout, question, signal);
}

/** Id and question must be ours (RFC 5452 §9.1). */
function answers(reply: Reply, id: number, question: Question): boolean {
  if (reply.id !== id) return false;
  if (reply.question === null) return reply.rcode !== "NOERROR" && reply.rcode !== "NXDOMAIN";
  return reply.question.type === question.type && reply.question.name === plainName(question.name);
}

function randomId(random: Random): number {
  const [high = 0, low = 0] = random.bytes(2);
  return high << 8 | low;
}

async function overUdp(
  world: TransportWorld,
  server: NameServer,
  timeout: number,
  question: Question,
  extended: boolean,
  signal: AbortSignal,
): Promise<Exchanged> {
  const id = randomId(world.random);
  const query = encodeQuery(id, question, extended);
  let settle: (exchanged: Exchanged) => void = () => {};
  const settled = new Promise<Exchanged>((resolve) => (settle = resolve));
  let sawGarbage = false;
  const received = (packet: Uint8Array, host: string, port: number): void => {
    if (port !== server.port || !sameHost(host, server.host)) return;
    const reply = decodeReply(packet);
    // Bytes that cannot be read may be a forgery: the true reply may still come.
    if (reply === null) sawGarbage = true;
    else if (answers(reply, id, question)) settle(reply);
  };
  try {
    const socket = await world.network.udp(server.host.includes(":") ? 6 : 4, received, () => settle(null));
    const timer = world.clock.after(timeout, () => settle(sawGarbage ? "malformed" : null));
    const stop = (): void => settle(null);
    signal.addEventListener("abort", stop, { once: true });
    // It may have been called off while the socket was made.
    if (signal.aborted) stop();
    socket.send(query, server.host, server.port);
    const exchanged = await settled;
    signal.removeEventListener("abort", stop);
    timer.cancel();
    socket.close();
    return exchanged;
  } catch {
    return null;
  }
}

/** Runtimes write the same IPv6 address in different ways. */
function sameHost(one: string, other: string): boolean {
  return plainAddress(one) === plainAddress(other);
}

function overTcp(
  world: TransportWorld,
  server: NameServer,
  timeout: number,
  question: Question,
  signal: AbortSignal,
): Promise<Exchanged> {
  const id = randomId(world.random);
  const query = encodeQuery(id, question, question.secure);
  // RFC 1035 §4.2.2: two bytes of length come first.
  const framed = new Uint8Array(query.length + 2);
  framed.set([query.length >> 8, query.length & 0xff]);
  framed.set(query, 2);
  return new Promise((resolve) => {
    let input = new Uint8Array(0);
    const settle = (exchanged: Exchanged): void => {
      timer.cancel();
      signal.removeEventListener("abort", stop);
      connection.destroy();
      resolve(exchanged);
    };
    const stop = (): void => settle(null);
    const connection = world.network.connect({ host: server.host, port: server.port }, {
      open: () => void connection.write(framed),
      data: (chunk) => {
        const joined = new Uint8Array(input.length + chunk.length);
        joined.set(input);
        joined.set(chunk, input.length);
        input = joined;
        const length = (input[0] ?? 0) << 8 | (input[1] ?? 0);
        if (input.length < 2 || input.length < length + 2) return;
        const reply = decodeReply(input.slice(2, length + 2));
        settle(reply !== null && answers(reply, id, question) ? reply : "malformed");
      },
      drain: () => {},
      close: () => settle(null),
    });
    const timer = world.clock.after(timeout, () => settle(null));
    signal.addEventListener("abort", stop, { once: true });
  });
}
