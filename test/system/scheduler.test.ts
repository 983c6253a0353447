/**
 * The queue manager beside Debian's: the same mail to a next hop that holds every message until it is told how to
 * answer. Both have the same number of deliveries under way after each answer, and tell the same steps of the window.
 */

import assert from "node:assert/strict";
import net from "node:net";
import { after, before, describe, test } from "node:test";
import { type Running, sleep, startPostrider, until } from "../postrider.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix, submit } from "./debian-postfix.ts";

/** A next hop that keeps messages waiting behind their final dot. */
class Gate {
  readonly port: number;
  /** Messages that wait for their answer, the oldest first. */
  readonly waiting: net.Socket[] = [];
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  #arrivals = 0;

  private constructor(server: net.Server) {
    this.#server = server;
    this.port = (server.address() as net.AddressInfo).port;
  }

  static async start(): Promise<Gate> {
    const server = net.createServer({ noDelay: true }, (socket) => gate.#session(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const gate = new Gate(server);
    return gate;
  }

  #session(socket: net.Socket): void {
    let text = "";
    let data = false;
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
    socket.write("220 gate ESMTP\r\n");
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      text += chunk;
      for (let end = text.indexOf("\r\n"); end >= 0; end = text.indexOf("\r\n")) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        if (data && line !== ".") continue;
        if (data) {
          data = false;
          this.#arrivals++;
          this.waiting.push(socket);
        } else if (line === "DATA") {
          data = true;
          socket.write("354 go on\r\n");
        } else if (line === "QUIT") socket.end("221 bye\r\n");
        else socket.write("250 ok\r\n");
      }
    });
  }

  /** Until nothing more comes. */
  async quiet(): Promise<number> {
    for (let before = -1; before !== this.#arrivals;) {
      before = this.#arrivals;
      await sleep(350);
    }
    return this.waiting.length;
  }

  /** "+": taken, "-": the connection breaks. */
  answer(how: string): void {
    const socket = this.waiting.shift()!;
    if (how === "+") socket.write("250 2.0.0 ok\r\n");
    else socket.destroy();
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

interface Script {
  readonly settings: string;
  readonly answers: string;
  /** Deliveries under way at first and after each answer, by the formulas. */
  readonly expected: string;
}

/** By transport: each has its parameters under its own name. */
const SCRIPTS: Readonly<Record<string, Script>> = {
  whole: {
    settings: "whole_destination_concurrency_limit = 8",
    answers: "++++-+--+",
    expected: "5 6 7 8 8 7 7 6 5 5",
  },
  shares: {
    settings: "shares_destination_concurrency_positive_feedback = 1/concurrency\n" +
      "shares_destination_concurrency_negative_feedback = 1/concurrency\n" +
      "shares_destination_concurrency_failed_cohort_limit = 3\nshares_initial_destination_concurrency = 3",
    answers: "++++++-+++++---",
    expected: "3 3 3 4 4 4 4 3 3 3 4 4 4 3 2 1",
  },
  dies: {
    settings: "dies_initial_destination_concurrency = 2\ndies_destination_concurrency_positive_feedback = 1/2",
    answers: "++---",
    expected: "2 2 3 2 1 0",
  },
  limited: { settings: "limited_destination_concurrency_limit = 2", answers: "+++", expected: "2 2 2 2" },
};
const NAMES = Object.keys(SCRIPTS);
const MAILS = 16;

type Sequences = Readonly<Record<string, readonly number[]>>;

const settings = (gates: Readonly<Record<string, Gate>>): string =>
  `relay_domains = ${NAMES.map((name) => `${name}.example`).join(" ")}
transport_maps = inline:{${NAMES.map((name) => `${name}.example=${name}:[127.0.0.1]:${gates[name]!.port}`).join(", ")}}
smtp_connection_cache_on_demand = no
destination_concurrency_feedback_debug = yes
minimal_backoff_time = 1000s
maximal_backoff_time = 1000s
qmgr_message_active_limit = 70
${NAMES.map((name) => SCRIPTS[name]!.settings).join("\n")}
`;
const SERVICES = NAMES.map((name) => `${name} unix - - n - - smtp`).join("\n");

async function play(gate: Gate, answers: string): Promise<readonly number[]> {
  const counts = [await gate.quiet()];
  for (const answer of answers) {
    if (gate.waiting.length === 0) break;
    gate.answer(answer);
    counts.push(await gate.quiet());
  }
  return counts;
}

async function playAll(port: number, gates: Readonly<Record<string, Gate>>): Promise<Sequences> {
  for (let at = 0; at < MAILS; at++) {
    for (const name of NAMES) {
      const content = "Subject: x\r\n\r\nx\r\n";
      await submit(port, { sender: "s@a.example", recipients: [`r${at}@${name}.example`], content });
    }
  }
  const played = await Promise.all(
    NAMES.map(async (name) => [name, await play(gates[name]!, SCRIPTS[name]!.answers)] as const),
  );
  return Object.fromEntries(played);
}

/** What the log tells of a destination's window. */
function steps(log: string, port: number): readonly string[] {
  return [...log.matchAll(/qmgr_queue_(?:un)?throttle: queue (\S+): (.*)/g)]
    .filter(([, name]) => name!.endsWith(`:${port}`)).map(([, , text]) => text!);
}

const statuses = (log: string): readonly string[] =>
  [...log.matchAll(/postfix\/error\[\d+\]: \w+: to=<(\S+)>, (relay=none), .*?(dsn=.*)/g)]
    .map(([, to, relay, rest]) => `${to} ${relay} ${rest!.replace(/127\.0\.0\.1\[127\.0\.0\.1\]:\d+/g, "HOST")}`)
    .sort();

describe("the queue manager beside Debian's", { skip: !debianPostfix }, () => {
  const gates: { ours: Record<string, Gate>; theirs: Record<string, Gate> } = { ours: {}, theirs: {} };
  let debian: DebianPostfix;
  let ours: Running;
  let sequences: { ours: Sequences; theirs: Sequences };

  before(async () => {
    for (const side of [gates.ours, gates.theirs]) for (const name of NAMES) side[name] = await Gate.start();
    debian = await startDebianPostfix(settings(gates.theirs), { services: SERVICES });
    ours = await startPostrider({ main: settings(gates.ours), master: SERVICES });
    const [mine, theirs] = await Promise.all([playAll(ours.port, gates.ours), playAll(debian.port, gates.theirs)]);
    sequences = { ours: mine, theirs };
    const told = (log: string): boolean => statuses(log).length > 0;
    await until(() => told(ours.log) && told(debian.log()), 10_000, () => ours.log + debian.log());
    await sleep(300);
  });

  after(async () => {
    for (const side of [gates.ours, gates.theirs]) for (const gate of Object.values(side)) gate.close();
    debian.stop();
    await ours.remove();
  });

  for (const name of NAMES) {
    test(`deliveries under way: ${name}`, () => {
      const { expected } = SCRIPTS[name]!;
      const [mine, theirs] = [sequences.ours[name]!, sequences.theirs[name]!];
      assert.equal(mine.join(" "), expected);
      assert.equal(mine.length, theirs.length);
      mine.forEach((count, at) => assert.ok(Math.abs(count - theirs[at]!) <= 1, `${mine.join()} / ${theirs.join()}`));
    });

    test(`steps of the window: ${name}`, () => {
      const [mine, theirs] = [steps(ours.log, gates.ours[name]!.port), steps(debian.log(), gates.theirs[name]!.port)];
      assert.ok(mine.length > 0);
      assert.deepEqual(mine, theirs);
    });
  }

  test("a destination that fills the active queue is warned of in the same words", () => {
    const warnings = (log: string): readonly string[] =>
      [...log.matchAll(/warning: ((?:mail for|this may|you may|so that|please avoid|lots of|to turn off) .*)/g)]
        .map(([, text]) => text!.replace(/\[127\.0\.0\.1\]:\d+/g, "HOST"));
    assert.ok(warnings(debian.log()).length >= 4 * NAMES.length, debian.log());
    assert.deepEqual([...warnings(ours.log)].sort(), [...warnings(debian.log())].sort());
  });

  test("what waits for a dead destination is put off with the same words", () => {
    const mine = statuses(ours.log);
    assert.ok(
      mine.every((line) => line.includes("dsn=4.4.2, status=deferred (delivery temporarily suspended: ")),
      mine[0],
    );
    assert.deepEqual(
      mine.map((line) => line.replace(/r\d+@/, "")),
      statuses(debian.log()).map((line) => line.replace(/r\d+@/, "")),
    );
  });
});
