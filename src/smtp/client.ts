/**
 * One SMTP or LMTP session, at byte level: a state machine fed by the connection, one promise per transaction.
 *   connecting -> greeting -> ehlo (-> helo) -> idle <-> busy (see transaction.ts);  idle -> quit -> closed
 * connect() says how it began; what goes wrong later goes to the Delivery. Never throws for the peer.
 */

import type { ContentSource } from "../agent.ts";
import { latin1Encode } from "../latin1.ts";
import type { Logger } from "../log.ts";
import type { Clock, Connection, ConnectionHandler, Millis, Network } from "../runtime.ts";
import type { CommandLine, Extensions } from "./commands.ts";
import { commandLine, extensionsOf, NO_EXTENSIONS } from "./commands.ts";
import type { Bound, Deadlines } from "./deadlines.ts";
import type { ServerAddress } from "./hosts.ts";
import type { Protocol, SmtpParameters } from "./parameters.ts";
import type { Response } from "./response.ts";
import { ResponseReader } from "./response.ts";
import type { Line, TransactionEnd } from "./transaction.ts";
import { Transaction } from "./transaction.ts";
import type { Delivery, Peer, Trouble } from "./trouble.ts";
import { connectTrouble, localTrouble, refusal } from "./trouble.ts";

export interface SessionWorld {
  readonly network: Network;
  readonly clock: Clock;
  readonly log: Logger;
  readonly deadlines: Deadlines;
  readonly parameters: SmtpParameters;
  readonly protocol: Protocol;
  readonly content: ContentSource;
  /** Servers ("host[1.2.3.4]:25") that do not take an envelope behind content. */
  readonly refusesAhead: Set<string>;
}

/** The message that goes over the session after the present one. */
export interface Next {
  readonly delivery: Delivery;
  /** Its transaction takes over the session: how that ends. */
  begin(end: Promise<TransactionEnd>): void;
  /** Nothing was done for it. */
  giveBack(): void;
}

/** One that was sent ahead. */
interface Ahead {
  readonly next: Next;
  readonly transaction: Transaction;
}

type Stage = "connecting" | "greeting" | "ehlo" | "helo" | "idle" | "busy" | "quit" | "closed";

/** How a session began. */
export type Opening =
  | { readonly kind: "ready" }
  /** No connection: nobody has heard of us. */
  | { readonly kind: "unreachable"; readonly trouble: Trouble; readonly code: string }
  /** Somebody answered, and would not talk. */
  | { readonly kind: "refused"; readonly trouble: Trouble };

/** A session idle for less than this is not asked whether it still lives. */
const FRESH: Millis = 100;
const REFUSES_AHEAD_LIMIT = 1000;
/** After QUIT, for the peer to close. */
const LINGER: Millis = 5_000;

const QUIT: CommandLine = commandLine("QUIT");

export class Session implements Bound, ConnectionHandler, Line {
  readonly #world: SessionWorld;
  readonly #reader: ResponseReader;
  readonly address: ServerAddress;
  /** When it was connected, by monotonic(). */
  openedAt: Millis = 0;
  /** Messages that it was used for. */
  uses = 0;
  /** No other server of the destination comes after this one. */
  lastServer = false;
  /** Told when it ends while idle. */
  whenLost: ((session: Session) => void) | null = null;
  deadline: Millis = Infinity;
  extensions: Extensions = NO_EXTENSIONS;
  peer: Peer;
  #stage: Stage = "connecting";
  #connection: Connection | null = null;
  #opened: ((opening: Opening) => void) | null = null;
  #finished: ((end: TransactionEnd) => void) | null = null;
  #transaction: Transaction | null = null;
  #next: (() => Next | null) | null = null;
  #ahead: Ahead | null = null;
  #idleSince: Millis = 0;
  #spent = false;

  constructor(world: SessionWorld, address: ServerAddress) {
    this.#world = world;
    this.address = address;
    const name = `${address.host}[${address.address}]`;
    const relay = address.port === 0 ? name : `${name}:${address.port}`;
    this.peer = { host: address.host, name, relay, connectionUse: 0, connectedAt: 0 };
    this.#reader = new ResponseReader((response) => this.#response(response), (kind, line) => this.#odd(kind, line));
  }

  get parameters(): SmtpParameters {
    return this.#world.parameters;
  }

  get protocol(): Protocol {
    return this.#world.protocol;
  }

  get content(): ContentSource {
    return this.#world.content;
  }

  get log(): Logger {
    return this.#world.log;
  }

  /** A message is under way. */
  get busy(): boolean {
    return this.#stage === "busy";
  }

  /** May carry another message. */
  get usable(): boolean {
    return this.#stage === "idle" && !this.#spent && this.#reader.quiet;
  }

  /** `bind`: the local address, "" for any. */
  connect(bind: string): Promise<Opening> {
    const { deadlines, network, parameters } = this.#world;
    const { address, port } = this.address;
    return new Promise((resolve) => {
      this.#opened = resolve;
      deadlines.add(this);
      if (parameters.smtp_connect_timeout > 0) deadlines.set(this, parameters.smtp_connect_timeout);
      const local = bind === "" ? {} : { bind };
      this.#connection = network.connect(port === 0 ? { path: address } : { host: address, port, ...local }, this);
    });
  }

  /**
   * Sends the request's message to all recipients of the delivery that are open. `next`: asked for the message that
   * may follow at once; while there is one the session stays busy.
   */
  transact(delivery: Delivery, next: () => Next | null): Promise<TransactionEnd> {
    const reused = this.uses > 0;
    this.#next = next;
    return new Promise((resolve) => {
      this.#finished = resolve;
      this.#stage = "busy";
      const transaction = this.#transactionFor(delivery, reused);
      this.peer = transaction.peer;
      this.#transaction = transaction;
      const idle = this.#world.clock.monotonic() - this.#idleSince;
      if (!transaction.start(reused && idle > FRESH)) this.finish("done");
    });
  }

  #transactionFor(delivery: Delivery, reused: boolean): Transaction {
    const { host, name, relay } = this.peer;
    const peer = { host, name, relay, connectionUse: ++this.uses, connectedAt: this.#world.clock.now() };
    return new Transaction(this, peer, delivery, reused);
  }

  /** Between messages: waits for the next one until the time is over. */
  rest(time: Millis): void {
    this.#idleSince = this.#world.clock.monotonic();
    this.#world.deadlines.set(this, time);
  }

  /** Says goodbye where that is possible. Its answer, if waited for, keeps nobody waiting but the connection. */
  quit(): void {
    if (this.#connection === null || this.#stage === "connecting" || this.#stage === "busy") return this.destroy();
    if (this.#stage === "closed" || this.#stage === "quit") return;
    this.#stage = "quit";
    this.#connection.write(latin1Encode(QUIT));
    const { smtp_skip_quit_response, smtp_quit_timeout } = this.#world.parameters;
    if (smtp_skip_quit_response) this.#connection.end();
    this.#world.deadlines.set(this, smtp_skip_quit_response ? LINGER : smtp_quit_timeout);
  }

  /** Drops the connection, whatever it is doing: recipients without an answer are deferred. */
  abort(): void {
    const trouble = localTrouble("4.3.2", `delivery via ${this.peer.relay} was interrupted`);
    this.#transaction?.failed(trouble);
    this.destroy();
    this.#settleOpening({ kind: "unreachable", trouble, code: "ECANCELED" });
  }

  // What a transaction does.

  write(bytes: Uint8Array): boolean {
    return this.#connection?.write(bytes) ?? true;
  }

  ahead(): Uint8Array | null {
    if (!this.#world.parameters.postrider_smtp_send_ahead) return null;
    const next = this.#spent || this.#world.refusesAhead.has(this.peer.relay) ? null : this.#next?.() ?? null;
    if (next === null) return null;
    const transaction = this.#transactionFor(next.delivery, true);
    const envelope = transaction.envelopeAhead();
    if (envelope === null) {
      this.uses--;
      next.giveBack();
      return null;
    }
    this.#ahead = { next, transaction };
    return envelope;
  }

  refuseAhead(): void {
    const { refusesAhead } = this.#world;
    if (refusesAhead.size >= REFUSES_AHEAD_LIMIT) refusesAhead.clear();
    refusesAhead.add(this.peer.relay);
  }

  expect(time: Millis): void {
    this.#world.deadlines.set(this, time);
  }

  spend(): void {
    this.#spent = true;
  }

  destroy(): void {
    if (this.#stage === "closed") return;
    this.#stage = "closed";
    this.#reader.stop();
    this.#world.deadlines.remove(this);
    this.#connection?.destroy();
    this.#ahead?.next.giveBack();
    this.#ahead = null;
  }

  finish(end: TransactionEnd): void {
    const finished = this.#finished;
    this.#finished = null;
    this.#transaction = null;
    if (this.#ahead !== null) this.#takeUp(this.#ahead);
    else if (this.#stage === "busy") this.#stage = "idle";
    finished?.(end);
  }

  #takeUp({ next, transaction }: Ahead): void {
    this.#ahead = null;
    this.#transaction = transaction;
    this.peer = transaction.peer;
    next.begin(new Promise((resolve) => (this.#finished = resolve)));
    transaction.takeUp();
  }

  // What the connection tells.

  open(): void {
    if (this.#stage !== "connecting") return;
    this.openedAt = this.#world.clock.monotonic();
    this.#stage = "greeting";
    this.expect(this.#world.parameters.smtp_helo_timeout);
  }

  data(chunk: Uint8Array): void {
    // What a server says between messages is about closing.
    if (this.#stage === "idle") return this.#lost();
    if (!this.#reader.feed(chunk)) this.#broke("lost connection with");
  }

  drain(): void {
    this.#transaction?.drained();
  }

  close(error: string | null): void {
    if (this.#stage !== "connecting") return this.#broke("lost connection with");
    this.destroy();
    const code = error ?? "ECONNABORTED";
    this.#settleOpening({ kind: "unreachable", trouble: connectTrouble(this.peer.relay, code), code });
  }

  expired(): void {
    if (this.#stage === "connecting") return this.close("ETIMEDOUT");
    if (this.#stage !== "idle") return this.#broke("conversation with");
    this.whenLost?.(this);
    this.quit();
  }

  #lost(): void {
    this.destroy();
    this.whenLost?.(this);
  }

  #broke(how: "lost connection with" | "conversation with"): void {
    switch (this.#stage) {
      case "busy":
        return this.#transaction?.broke(how);
      case "idle":
        return this.#lost();
      case "greeting":
      case "ehlo":
      case "helo": {
        const doing = this.#stage === "greeting"
          ? "receiving the initial server greeting"
          : `performing the ${this.#verb(this.#stage)} handshake`;
        const timedOut = how === "conversation with" ? " timed out" : "";
        const trouble = localTrouble("4.4.2", `${how} ${this.peer.name}${timedOut} while ${doing}`);
        this.destroy();
        return this.#settleOpening({ kind: "refused", trouble });
      }
      default:
        return this.destroy();
    }
  }

  #odd(kind: "long" | "garbage", line: string): void {
    const { log, protocol } = this.#world;
    if (kind === "long") return log.warn(`${this.peer.relay}: response longer than 2048: ${line.slice(0, 30)}...`);
    if (this.extensions.pipelining) {
      const name = protocol === "smtp" ? "ESMTP" : "LMTP";
      log.warn(`non-${name} response from ${this.peer.relay}: ${line.slice(0, 100)}`);
    }
  }

  #response(response: Response): void {
    if (response.code === 421) this.#spent = true;
    switch (this.#stage) {
      case "busy":
        return this.#transaction?.response(response);
      case "greeting":
        return this.#greeted(response);
      case "ehlo":
      case "helo":
        return this.#shaken(response, this.#stage);
      case "idle":
        // More replies than commands: whatever this server speaks, the next reply could be taken for another's.
        this.#spent = true;
        return this.#lost();
      case "connecting":
      case "quit":
      case "closed":
        return this.destroy();
    }
  }

  // Handshake (RFC 5321 §3.1, §3.2; RFC 2033 §4.1).

  #greeted(response: Response): void {
    const { parameters, protocol, log } = this.#world;
    if (response.code < 200 || response.code > 299) {
      return this.#refused(response, response.code >= 500 && parameters.smtp_skip_5xx_greeting);
    }
    const words = response.text.slice(4).split(/\s+/);
    if (protocol === "smtp" && words[0]?.toLowerCase() === parameters.myhostname.toLowerCase()) {
      log.warn(`host ${this.peer.relay} greeted me with my own hostname ${parameters.myhostname}`);
    }
    const extended = parameters.smtp_always_send_ehlo || words.some((word) => word.toUpperCase() === "ESMTP");
    const hello = protocol === "lmtp" || extended && !parameters.smtp_never_send_ehlo;
    this.#sayHello(hello ? "ehlo" : "helo");
  }

  #verb(stage: "ehlo" | "helo"): string {
    if (stage === "helo") return "HELO";
    return this.#world.protocol === "lmtp" ? "LHLO" : "EHLO";
  }

  #sayHello(stage: "ehlo" | "helo"): void {
    const { parameters } = this.#world;
    this.#stage = stage;
    this.write(latin1Encode(commandLine(`${this.#verb(stage)} ${parameters.smtp_helo_name}`)));
    this.expect(parameters.smtp_helo_timeout);
  }

  #shaken(response: Response, stage: "ehlo" | "helo"): void {
    const { parameters, protocol, log } = this.#world;
    if (response.code < 200 || response.code > 299) {
      // RFC 5321 §3.2: a server that does not know EHLO is spoken to with HELO.
      if (stage === "ehlo" && protocol === "smtp" && response.code !== 421) return this.#sayHello("helo");
      return this.#refused(response, false);
    }
    const said = response.text.slice(4).split(/\s+/, 1)[0] ?? "";
    if (protocol === "smtp" && said.toLowerCase() === parameters.myhostname.toLowerCase()) {
      log.warn(`host ${this.peer.relay} replied to HELO/EHLO with my own hostname ${parameters.myhostname}`);
      if (this.address.best) {
        const trouble = localTrouble("5.4.6", `mail for ${this.address.nexthop} loops back to myself`);
        return this.#settleOpening({ kind: "refused", trouble });
      }
    }
    if (stage === "ehlo") {
      const discard = parameters.smtp_discard_ehlo_keywords.map((word) => word.toLowerCase());
      this.extensions = extensionsOf(response.lines, discard);
    }
    this.#stage = "idle";
    this.#settleOpening({ kind: "ready" });
  }

  #refused(response: Response, softened: boolean): void {
    this.#settleOpening({ kind: "refused", trouble: refusal(this.peer, response, softened) });
  }

  #settleOpening(opening: Opening): void {
    this.#opened?.(opening);
  }
}
