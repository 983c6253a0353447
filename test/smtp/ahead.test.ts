/**
 * Messages sent behind one another: the next envelope goes with the content before it, and no message is lost or
 * doubled by it, whatever the server makes of it.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DeliveryRequest, NextFollower } from "../../src/agent.ts";
import type { DeliveryResult } from "../../src/status.ts";
import { type Desk, desk, never, request } from "./delivering.ts";
import { type Script, type ScriptedServer, scriptedServer } from "./scripted-server.ts";

/** A destination with a window of one: what waits follows what is under way, or starts when that has ended. */
class Line {
  readonly results = new Map<string, DeliveryResult>();
  readonly order: string[] = [];
  #waiting: DeliveryRequest[];
  #busy = 0;
  mostBusy = 0;
  givenBack = 0;
  readonly #desk: Desk;
  #done: () => void = () => {};

  constructor(desk: Desk, nexthop: string, count: number) {
    this.#desk = desk;
    this.#waiting = Array.from(
      { length: count },
      (_, at) => request(nexthop, [`r${at}@x.example`], { queueId: `Q${at}` }),
    );
  }

  async run(): Promise<void> {
    const over = new Promise<void>((resolve) => (this.#done = resolve));
    this.#start();
    await over;
  }

  #start(): void {
    const first = this.#busy === 0 ? this.#waiting.shift() : undefined;
    if (first !== undefined) this.#track(first, this.#desk.agent.deliver(first, never, this.#next), 1);
    else if (this.#busy === 0) this.#done();
  }

  readonly #next: NextFollower = () => {
    const one = this.#waiting.shift();
    if (one === undefined) return null;
    return {
      request: one,
      begin: (results) => this.#track(one, results, 0),
      giveBack: () => {
        this.givenBack++;
        this.#waiting.unshift(one);
      },
    };
  };

  /** A follower has the slot of the one before it: that one frees none. */
  #track(one: DeliveryRequest, results: Promise<readonly DeliveryResult[]>, slots: 0 | 1): void {
    this.#busy += slots;
    if (slots === 0) this.#carried++;
    this.mostBusy = Math.max(this.mostBusy, this.#busy);
    void results.then(([result]) => {
      assert.ok(!this.results.has(one.queueId), "one result each");
      this.results.set(one.queueId, result!);
      this.order.push(one.queueId);
      if (this.#carried > 0) this.#carried--;
      else this.#busy--;
      this.#start();
    });
  }
  #carried = 0;
}

async function sent(
  script: Script,
  count: number,
  config: Readonly<Record<string, unknown>> = {},
): Promise<{ line: Line; server: ScriptedServer }> {
  const server = await scriptedServer(script);
  const at = desk({ postrider_smtp_send_ahead: true, ...config });
  const line = new Line(at, `[127.0.0.1]:${server.port}`, count);
  await line.run();
  await at.close();
  await server.close();
  return { line, server };
}

const envelopes = (server: ScriptedServer): string[] =>
  server.sessions.flatMap(({ commands }) => commands.filter((line) => line.startsWith("RCPT")));
const outcomes = (line: Line): string[] => [...new Set([...line.results.values()].map(({ outcome }) => outcome))];

describe("a message sent behind the one before", () => {
  it("has its envelope in one segment with the content before it", async () => {
    const { line, server } = await sent({}, 5);
    assert.deepEqual(outcomes(line), ["sent"]);
    assert.deepEqual(line.order, ["Q0", "Q1", "Q2", "Q3", "Q4"]);
    assert.equal(server.sessions.length, 1);
    assert.equal(server.sessions[0]!.contents.length, 5);
    const together = server.sessions[0]!.chunks.filter((chunk) =>
      /\r\n\.\r\nMAIL FROM:.*\r\nRCPT TO:.*\r\nDATA\r\n$/.test(chunk)
    );
    assert.equal(together.length, 4);
    assert.deepEqual([...line.results.values()].map(({ connectionUse }) => connectionUse), [1, 2, 3, 4, 5]);
    assert.equal(line.mostBusy, 1);
  });

  it("is not sent so without PIPELINING, nor beyond the limit of uses", async () => {
    for (const [script, config] of [[{ features: [] }, {}], [{}, { smtp_connection_reuse_count_limit: 1 }]] as const) {
      const { line, server } = await sent(script, 3, config);
      assert.deepEqual(outcomes(line), ["sent"]);
      assert.ok(server.sessions.every(({ chunks }) => chunks.every((chunk) => !/\.\r\nMAIL/.test(chunk))));
    }
  });

  it("goes its own way when the one before is refused, or its own recipient is", async () => {
    const rcpt = (text: string): string => /r2@/.test(text) ? "550 5.1.1 no" : "250 ok";
    let dots = 0;
    const { line } = await sent({ rcpt, dot: () => dots++ === 0 ? "554 5.6.0 bad" : "250 ok" }, 5);
    assert.deepEqual([...line.results.values()].map(({ outcome }) => outcome), [
      "bounced",
      "sent",
      "bounced",
      "sent",
      "sent",
    ]);
  });

  it("is kept for later when the connection breaks before the one before is answered", async () => {
    let dots = 0;
    const { line, server } = await sent({ dot: () => dots++ === 1 ? "close" : "250 ok" }, 4);
    assert.deepEqual([...line.results].map(([id, { outcome }]) => `${id} ${outcome}`), [
      "Q0 sent",
      "Q1 deferred",
      "Q2 sent",
      "Q3 sent",
    ]);
    assert.equal(line.givenBack, 1);
    assert.equal(envelopes(server).filter((text) => text.includes("r2@")).length, 1);
  });

  for (
    const [name, answer] of [
      ["closes after the first message", { reply: "250 ok", then: "close" }],
      ["says 421 after it", { reply: "250 ok\r\n421 4.3.2 bye", then: "close" }],
      ["answers the dot with 421", { reply: "421 4.3.2 bye", then: "close" }],
    ] as const
  ) {
    it(`takes another connection when the server ${name}`, async () => {
      let dots = 0;
      const { line, server } = await sent({ dot: () => dots++ === 0 ? answer : "250 ok" }, 3);
      assert.deepEqual([line.results.get("Q1")!.outcome, line.results.get("Q2")!.outcome], ["sent", "sent"]);
      assert.equal(server.sessions.length, 2);
    });
  }

  it("is sent again when the server throws away what comes behind the dot, and the server is remembered", async () => {
    const { line, server } = await sent({ forgetful: true }, 4);
    assert.deepEqual(outcomes(line), ["sent"]);
    assert.equal(server.sessions.length, 2);
    assert.equal(server.sessions[1]!.contents.length, 3);
    assert.ok(server.sessions[1]!.chunks.every((chunk) => !/\.\r\nMAIL/.test(chunk)));
  });

  it("is sent again when the server calls it a bad sequence", async () => {
    let mails = 0;
    const { line, server } = await sent({ mail: () => mails++ === 1 ? "503 5.5.1 bad sequence" : "250 ok" }, 3);
    assert.deepEqual(outcomes(line), ["sent"]);
    assert.equal(server.sessions.length, 2);
  });
});
