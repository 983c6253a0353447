/**
 * bounce(8) at work in a test: a queue in memory, a cleanup, a log, and what was sent.
 */

import type { ContentSource } from "../../src/agent.ts";
import { Bounce, type BounceServices } from "../../src/bounce/bounce.ts";
import { Cleanup } from "../../src/cleanup/cleanup.ts";
import { loadConfig } from "../../src/config/config.ts";
import { type Envelope, NO_CLIENT, plainRecipient } from "../../src/envelope.ts";
import { latin1Decode, latin1Encode } from "../../src/latin1.ts";
import { openQueue } from "../../src/queue/open.ts";
import type { Committed, QueueEntry, QueueStore } from "../../src/queue/store.ts";
import { configured } from "../config/fake-runtime.ts";
import { runtime } from "../mailboxes.ts";
import { testLog } from "../test-log.ts";

export interface Sent {
  readonly envelope: Envelope;
  readonly text: string;
}

export interface Desk {
  readonly bounce: Bounce;
  readonly services: BounceServices;
  readonly store: QueueStore;
  readonly sent: Sent[];
  /** Log lines of bounce(8), queue ids of notices written as NOTICE. */
  lines(): string[];
  message(change?: Partial<Envelope>, content?: string): Promise<QueueEntry>;
  close(): Promise<void>;
}

async function textOf(store: QueueStore, id: string): Promise<string> {
  let text = "";
  for await (const piece of store.read(id)) text += latin1Decode(piece);
  return text;
}

export async function desk(main = "", given: ContentSource | null = null): Promise<Desk> {
  const config =
    loadConfig(configured(`myhostname = mx.example.com\nmyorigin = example.com\n${main}\n`).runtime, "/etc/postfix")
      .main;
  const { clock } = runtime;
  let lines = "";
  const log = testLog(clock, (text) => lines += text);
  const store = await openQueue("memory:", { runtime });
  const cleanup = new Cleanup({ config, store, log, clock });
  const sent: Sent[] = [];
  const reads: Promise<void>[] = [];
  const queued = ({ entry }: Committed): void => {
    reads.push(textOf(store, entry.id).then((text) => void sent.push({ envelope: entry.envelope, text })));
  };
  const services = { config, cleanup, content: given ?? store, log, clock, queued };
  return {
    bounce: new Bounce(services),
    services,
    store,
    sent,
    lines: () => {
      log.flush();
      const all = [...lines.matchAll(/postfix\/bounce\[\d+\]: (.*)$/gm)].map((match) => match[1]!);
      return all.map((line) => line.replace(/^[0-9A-F]{6,}/, "QID").replace(/[0-9A-F]{6,}$/, "NOTICE"));
    },
    message: async (change = {}, content = "Subject: one\r\n\r\nbody\r\n") => {
      const incoming = store.begin();
      await incoming.append(latin1Encode(content));
      const envelope: Envelope = {
        sender: "s@orig.example",
        recipients: [plainRecipient("x@d.example")],
        arrived: clock.now(),
        client: NO_CLIENT,
        encoding: "",
        ret: "",
        envid: "",
        ...change,
      };
      return (await incoming.commit(envelope)).entry;
    },
    close: async () => {
      await Promise.all(reads);
      await store.close();
    },
  };
}
