/**
 * sendmail -bs: one SMTP session on standard input and output, with smtpd's own engine. Messages go to the maildrop
 * folder, so it works without a running system and without privileges; a user of this machine may send to everybody.
 * DSN parameters are not offered: a maildrop file has no place for those of each recipient. Exit status 0.
 */

import type { Config } from "../config/config.ts";
import { Log } from "../log.ts";
import type { Clock, Processes, Socket } from "../runtime.ts";
import { latin1Encode } from "../latin1.ts";
import { MaildropSink } from "../sendmail/sink.ts";
import { Anvil } from "../smtpd/anvil.ts";
import { Engine } from "../smtpd/engine/server.ts";
import type { SessionHost } from "../smtpd/host.ts";
import { NAMELESS } from "../smtpd/peer.ts";
import { Session } from "../smtpd/session.ts";
import { ehloKeywords, syntaxRules, upperSet } from "../smtpd/smtpd.ts";
import { knock } from "./knock.ts";
import type { Tool } from "./tool.ts";

type Listener = (value?: unknown) => void;

/** Standard input and output as the engine's socket. */
class StandardSocket {
  readonly remoteAddress = "127.0.0.1";
  readonly remotePort = 0;
  readonly localAddress = "127.0.0.1";
  readonly localPort = 0;
  readonly writableLength = 0;
  readonly writable = true;
  destroyed = false;
  readonly #processes: Processes;
  readonly #clock: Clock;
  readonly #listeners = new Map<string, Listener[]>();
  #paused: (() => void) | null = null;
  #resumed: Promise<void> = Promise.resolve();
  #closed: () => void = () => {};
  readonly closed: Promise<void> = new Promise((resolve) => this.#closed = resolve);

  constructor(processes: Processes, clock: Clock) {
    this.#processes = processes;
    this.#clock = clock;
  }

  on(event: string, listener: Listener): this {
    this.#listeners.set(event, [...this.#listeners.get(event) ?? [], listener]);
    return this;
  }

  /** Feeds the session until the input is over. */
  async feed(): Promise<void> {
    for await (const chunk of this.#processes.readInput()) {
      await this.#resumed;
      if (this.destroyed) return;
      this.#emit("data", chunk);
    }
    this.#emit("end");
  }

  setNoDelay(): void {}

  unpipe(): void {}

  /** Who types at a terminal may take his time. */
  setTimeout(): void {}

  pause(): void {
    if (this.#paused === null) this.#resumed = new Promise((resolve) => this.#paused = resolve);
  }

  resume(): void {
    this.#paused?.();
    this.#paused = null;
  }

  write(data: Uint8Array | string): boolean {
    if (!this.destroyed) this.#processes.writeOutput(typeof data === "string" ? latin1Encode(data) : data);
    return true;
  }

  end(data?: Uint8Array | string): void {
    if (data !== undefined) this.write(data);
    this.destroy();
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.resume();
    this.#clock.soon(() => {
      this.#emit("close");
      this.#closed();
    });
  }

  #emit(event: string, value?: unknown): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(value);
  }
}

/** A program on this machine writes all its commands at once. */
function lenient(config: Config): Config {
  return { ...config, smtpd_forbid_unauth_pipelining: false };
}

function hostOf(tool: Tool, config: Config): SessionHost {
  const { runtime } = tool;
  const { clock } = runtime;
  const log = new Log({ clock, hostname: "", name: "", format: "postfix", write: () => {}, pid: tool.processes.pid });
  const keywords = ehloKeywords(config).filter((line) => line !== "DSN");
  return {
    config: lenient(config),
    clock,
    logger: log.service("smtpd"),
    syntax: { ...syntaxRules(config), noDsn: true },
    keywords: () => keywords,
    ipv6: false,
    events: { anvil: new Anvil(clock, { unit: 0, prefix4: 32, prefix6: 128 }), service: "stdin" },
    noop: upperSet(config.smtpd_noop_commands),
    forbids: () => false,
    openMessage: () => {
      const sink = new MaildropSink(runtime, config.queue_directory);
      return {
        id: sink.id,
        get size() {
          return sink.size;
        },
        begin: (origin, trace) => sink.begin(origin, trace),
        data: (piece) => sink.data(piece),
        finish: async (envelope) => {
          const queued = await sink.finish(envelope);
          await knock(runtime, config);
          return queued;
        },
        abort: () => sink.abort(),
      };
    },
    judge: () => "dunno",
    peerName: () => ({ ...NAMELESS, name: "localhost", nameStatus: "ok" }),
    clientRules: () => ({ bareNewline: "no", xclient: false, xforward: false, limited: false }),
    // pickup rewrites what it takes.
    rewrite: (address) => address,
    completesFor: () => true,
    refuseConnection: () => null,
    diskFull: () => false,
    gone: () => {},
  };
}

export async function standAlone(tool: Tool, config: Config): Promise<number> {
  const { processes, runtime } = tool;
  const socket = new StandardSocket(processes, runtime.clock);
  const engine = new Engine({
    timeout: config.smtpd_timeout,
    lineLengthLimit: config.line_length_limit,
    replaceStrayCr: config.cleanup_replace_stray_cr_lf,
  }, runtime.clock);
  const peer = { address: "127.0.0.1", port: 0, localAddress: "127.0.0.1", localPort: 0 };
  engine.connect(socket as unknown as Socket, new Session(hostOf(tool, config), peer, 1));
  let inputOver = false;
  const fed = socket.feed().finally(() => inputOver = true);
  await Promise.race([socket.closed, fed.then(() => socket.closed)]);
  // QUIT came while the other side keeps its end open: nothing is left to be read for.
  if (!inputOver) await new Promise<void>((resolve) => void runtime.clock.after(0, resolve));
  if (!inputOver) processes.exit(0);
  return 0;
}
