/**
 * Load under which a server may die, and the account of it: what was acknowledged has to arrive, whole.
 */

import assert from "node:assert/strict";
import { hashOf } from "./corpus.ts";
import { sleep, until } from "./postrider.ts";
import type { Received, Sink } from "./sink.ts";
import { SmtpClient } from "./smtp-client.ts";

/** mulberry32: numbers in [0, 1) that a seed makes again. */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export class Account {
  readonly #sent = new Map<number, { readonly hash: string; acknowledged: boolean }>();
  readonly #random: () => number;
  /** Replies other than 250 to a message, and how often each code came. */
  readonly refused = new Map<string, number>();
  readonly #onAcknowledged: (count: number) => void;
  #count = 0;

  /** `onAcknowledged` is called at once, with the number of acknowledgements so far. */
  constructor(random: () => number, onAcknowledged: (count: number) => void = () => {}) {
    this.#random = random;
    this.#onAcknowledged = onAcknowledged;
  }

  get acknowledged(): number {
    return this.#count;
  }

  /** How many acknowledged messages the sink has not got. */
  lost(sink: Sink): number {
    return this.#lost(sink).length;
  }

  /** One session: sends `count` messages, or until the server is gone. */
  async load(port: number, count = Infinity): Promise<void> {
    let client: SmtpClient;
    try {
      client = await (await SmtpClient.connect(port)).greeted();
    } catch {
      return;
    }
    for (let at = 0; at < count && !client.closed; at++) {
      const id = this.#sent.size;
      // Now and then one that is large enough for a file of its own.
      const size = this.#random() < 0.03 ? 300_000 : Math.floor(this.#random() * 8000);
      const body = `mail ${id}\r\n${"line of text, dots .\r\n".repeat(size / 21)}`;
      const one = { hash: hashOf(body), acknowledged: false };
      this.#sent.set(id, one);
      const text = `Subject: ${id}\r\n\r\n${body}`;
      const reply = await client.send("s@x.example", [`u${id}@y.example`], text).catch(() => "");
      one.acknowledged = reply.startsWith("250");
      if (one.acknowledged) this.#onAcknowledged(++this.#count);
      else this.refused.set(reply.slice(0, 3), (this.refused.get(reply.slice(0, 3)) ?? 0) + 1);
    }
    client.socket.destroy();
  }

  /** Waits until all that was acknowledged has arrived, and looks at it; how many came more than once. */
  async settle(sink: Sink, crashes: number, log: () => string): Promise<number> {
    await until(() => this.#lost(sink).length === 0, 30_000, () => `lost: ${this.#lost(sink).join(" ")}\n${log()}`);
    await sleep(500);
    for (const { recipients, content } of ofLoad(sink)) {
      const id = idOf(recipients[0]!);
      const body = content.slice(content.indexOf("\r\n\r\n") + 4);
      assert.equal(hashOf(body), this.#sent.get(id)!.hash, `mail ${id} is whole`);
    }
    const arrived = this.#arrived(sink);
    assert.deepEqual([...arrived].filter(([, count]) => count > 1 + crashes), []);
    return [...arrived.values()].reduce((sum, count) => sum + count - 1, 0);
  }

  #arrived(sink: Sink): Map<number, number> {
    const arrived = new Map<number, number>();
    for (const { recipients } of ofLoad(sink)) {
      arrived.set(idOf(recipients[0]!), (arrived.get(idOf(recipients[0]!)) ?? 0) + 1);
    }
    return arrived;
  }

  #lost(sink: Sink): number[] {
    const arrived = this.#arrived(sink);
    return [...this.#sent].filter(([id, { acknowledged }]) => acknowledged && !arrived.has(id)).map(([id]) => id);
  }
}

const OF_LOAD = /^u(\d+)@/;

const idOf = (recipient: string): number => Number(OF_LOAD.exec(recipient)![1]);

/** Without notices to the postmaster (notify_classes = resource, among others). */
const ofLoad = (sink: Sink): readonly Received[] => sink.messages.filter(({ recipients: [to] }) => OF_LOAD.test(to!));
