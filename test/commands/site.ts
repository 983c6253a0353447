/**
 * A stopped mail system in a folder of its own, and commands run against it in this very process: their input is given,
 * their output kept.
 */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { currentRuntime } from "../../runtimes/select.ts";
import { userNumbered } from "../../src/config/passwd.ts";
import { NO_CLIENT, plainRecipient } from "../../src/envelope.ts";
import { latin1Decode, latin1Encode } from "../../src/latin1.ts";
import type { Command } from "../../src/main.ts";
import { openQueue } from "../../src/queue/open.ts";
import type { QueueStore } from "../../src/queue/store.ts";
import type { Processes, Runtime } from "../../src/runtime.ts";

export interface Ran {
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly uid?: number;
  readonly environment?: Readonly<Record<string, string>>;
}

const real = await currentRuntime();
const uid = real.processes!.uid();
/** The account that runs the tests. */
export const SELF = { uid, name: userNumbered(real, uid)?.name ?? "root" };

/** A message in the queue; a recipient with a reason was deferred for it. */
export interface Queued {
  readonly sender: string;
  readonly recipients: readonly (readonly [address: string, reason: string])[];
  readonly content?: string;
  readonly arrived?: number;
  readonly hold?: boolean;
}

export class Site {
  readonly root: string = mkdtempSync(join(tmpdir(), "postrider-site-"));

  constructor(main = "") {
    for (const name of ["etc", "spool", "spool/maildrop", "spool/public"]) mkdirSync(join(this.root, name));
    const text = `compatibility_level = 3.6
queue_directory = ${this.root}/spool
myhostname = mx.test.example
mail_owner = ${SELF.name}
alias_database =
${main}
`;
    writeFileSync(join(this.root, "etc/main.cf"), text);
    writeFileSync(join(this.root, "etc/master.cf"), "");
  }

  get etc(): string {
    return join(this.root, "etc");
  }

  async run(command: Command, words: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const { input = "", uid, environment = {} } = options;
    let output = "";
    let errors = "";
    const own: Partial<Processes> = {
      environment: { MAIL_CONFIG: this.etc, ...environment },
      readInput: async function* () {
        await Promise.resolve();
        // In small pieces: nothing may depend on where they are cut.
        for (let at = 0; at < input.length; at += 7) yield latin1Encode(input.slice(at, at + 7));
      },
      writeOutput: (bytes) => void (output += latin1Decode(bytes)),
      writeError: (bytes) => void (errors += latin1Decode(bytes)),
      ...uid === undefined ? {} : { uid: () => uid },
    };
    const runtime: Runtime = { ...real, processes: { ...real.processes!, ...own } };
    return { status: await command(runtime, words), output, errors };
  }

  /** The files of the maildrop folder: envelope and content. */
  dropped(): { readonly name: string; readonly envelope: Record<string, unknown>; readonly content: string }[] {
    const folder = join(this.root, "spool/maildrop");
    return readdirSync(folder).sort().map((name) => {
      const [, envelope = "", ...content] = readFileSync(join(folder, name), "latin1").split("\n");
      return { name, envelope: JSON.parse(envelope) as Record<string, unknown>, content: content.join("\n") };
    });
  }

  async withStore<T>(action: (store: QueueStore) => Promise<T>): Promise<T> {
    const store = await openQueue(`fs:${this.root}/spool`, { runtime: real });
    try {
      return await action(store);
    } finally {
      await store.close();
    }
  }

  /** Puts messages into the queue; gives their ids. */
  fill(messages: readonly Queued[]): Promise<string[]> {
    return this.withStore(async (store) => {
      const ids: string[] = [];
      for (const { sender, recipients, content = "Subject: x\r\n\r\nbody\r\n", arrived, hold } of messages) {
        const incoming = store.begin();
        await incoming.append(latin1Encode(content));
        await incoming.commit({
          sender,
          recipients: recipients.map(([address]) => plainRecipient(address)),
          arrived: arrived ?? real.clock.now(),
          client: NO_CLIENT,
          encoding: "",
          ret: "",
          envid: "",
        }, hold ?? false);
        ids.push(incoming.id);
        const deferred = recipients.flatMap(([, reason], index) =>
          reason === "" ? [] : [{ index, reason, status: "4.4.1" }]
        );
        if (deferred.length === 0) continue;
        if (hold !== true) store.activate(incoming.id);
        await store.mark(incoming.id, { done: [], deferred }, "durable");
        await store.defer(incoming.id, real.clock.now() + 60_000);
      }
      await store.sync();
      return ids;
    });
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
