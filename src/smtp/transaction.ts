/**
 * One message over one session: envelope, content, replies.
 *   [probe ->] mail -> rcpt -> data -> body -> dot -> done;  refused -> rset -> done;  the line breaks -> done | stale
 * With PIPELINING the envelope and DATA are one write (RFC 2920 §3.1) and the content with its final dot another; the
 * envelope of the message that follows may go with that one: "ahead", and then its replies come behind the dot's.
 * What the server says goes to the Delivery, recipient by recipient. Never throws for the peer or the store.
 */

import type { ContentSource } from "../agent.ts";
import { latin1Encode } from "../latin1.ts";
import type { Logger } from "../log.ts";
import type { Millis } from "../runtime.ts";
import type { CommandLine, Extensions } from "./commands.ts";
import { commandLine } from "./commands.ts";
import { ContentEncoder, encodeContent } from "../dot-stuffing.ts";
import { downgraded } from "./downgrade.ts";
import type { Protocol, SmtpParameters } from "./parameters.ts";
import { prepare } from "./prepared.ts";
import type { Response } from "./response.ts";
import { DOING, type Stage } from "./stage.ts";
import type { Delivery, Peer, Trouble } from "./trouble.ts";
import { localTrouble, replyTrouble } from "./trouble.ts";

/** What a transaction needs of its session. */
export interface Line {
  readonly extensions: Extensions;
  readonly parameters: SmtpParameters;
  readonly protocol: Protocol;
  readonly content: ContentSource;
  readonly log: Logger;
  /** False: wait for drained(). */
  write(bytes: Uint8Array): boolean;
  /** The envelope of the message that follows on this session, to be sent behind the content; null: none. */
  ahead(): Uint8Array | null;
  /** The server does not take an envelope behind content: it is not tried again with it. */
  refuseAhead(): void;
  /** Sets the time for the next reply. */
  expect(time: Millis): void;
  /** The session is not to be used again. */
  spend(): void;
  destroy(): void;
  finish(end: TransactionEnd): void;
}

/** "stale": a session used before was dead before the server answered anything; nothing was delivered. */
export type TransactionEnd = "done" | "stale";

/** Content up to this size is put into one write. */
const ONE_WRITE_LIMIT = 256 * 1024;

const LONE_DOT = Uint8Array.of(46, 13, 10);
const RSET: CommandLine = commandLine("RSET");
const DATA: CommandLine = commandLine("DATA");

export class Transaction {
  readonly #line: Line;
  readonly peer: Peer;
  readonly #delivery: Delivery;
  readonly #reused: boolean;
  readonly #pipelining: boolean;
  /** Positions in the request of those in MAIL's transaction, then of those that RCPT let through. */
  #open: readonly number[];
  readonly #accepted: number[] = [];
  #commands: readonly CommandLine[] = [];
  /** XFORWARD, which goes before them. */
  #forward: readonly CommandLine[] = [];
  #forwarded = 0;
  #stage: Stage = "mail";
  /** Recipients whose reply has come: to RCPT, then (LMTP) to the dot. */
  #answered = 0;
  #replies = 0;
  #mailRefused = false;
  /** The final dot is written. */
  #allWritten = false;
  /** A reply that came before the content was all sent. */
  #early: Response | null = null;
  #wake: (() => void) | null = null;
  /** Its envelope went out behind the content of the message before. */
  #sentAhead = false;

  constructor(line: Line, peer: Peer, delivery: Delivery, reused: boolean) {
    this.#line = line;
    this.peer = peer;
    this.#delivery = delivery;
    this.#reused = reused;
    this.#pipelining = line.extensions.pipelining;
    this.#open = delivery.begin(peer);
  }

  /** `probe`: the session was idle for so long that it may be dead. False: nothing is to be sent, and it is over. */
  start(probe: boolean): boolean {
    const { parameters } = this.#line;
    if (!this.#prepare()) return false;
    if (probe) this.#stage = "probe";
    else if (this.#forward.length > 0) this.#stage = "xforward";
    const envelope = this.#pipelining ? this.#envelope() : probe ? "" : this.#forward[0] ?? this.#commands[0] ?? "";
    this.#send((probe ? RSET : "") + envelope as CommandLine);
    this.#line.expect(probe ? parameters.smtp_rset_timeout : parameters.smtp_mail_timeout);
    return true;
  }

  /** Instead of start(): the envelope, for the session to send ahead; null: it cannot be sent that way. */
  envelopeAhead(): Uint8Array | null {
    if (!this.#pipelining || this.#probes || !this.#prepare()) return null;
    this.#sentAhead = true;
    if (this.#forward.length > 0) this.#stage = "xforward";
    return latin1Encode(this.#envelope());
  }

  /** The message before is done: the replies that come now are for this one. */
  takeUp(): void {
    this.#line.expect(this.#line.parameters.smtp_mail_timeout);
  }

  response(response: Response): void {
    this.#replies++;
    const good = response.code >= 200 && response.code < 300;
    switch (this.#stage) {
      case "probe":
        return this.#probeReply(good);
      case "xforward":
        return this.#forwardReply(response, good);
      case "mail":
        return this.#mailReply(response, good);
      case "rcpt":
        return this.#recipientReply(response, good);
      case "data":
        return this.#dataReply(response);
      case "body":
        if (this.#allWritten) return this.#dotReply(response, good);
        this.#early = response;
        return this.#wake?.();
      case "dot":
        return this.#dotReply(response, good);
      case "rset":
        if (!good) this.#line.spend();
        return this.#end("done");
      case "over":
    }
  }

  /** All that was written has left. */
  drained(): void {
    if (this.#wake !== null) return this.#wake();
    if (this.#stage === "body" && this.#allWritten) this.#to("dot", this.#line.parameters.smtp_data_done_timeout);
  }

  /** The connection broke, or time is over. */
  broke(how: "lost connection with" | "conversation with"): void {
    if (this.#stage === "over") return;
    if (this.#stage === "body" && this.#early !== null && this.#early.code >= 400) return this.#cutShort();
    const silent = this.#sentAhead && how === "conversation with";
    if (silent && this.#replies === 0) this.#line.refuseAhead();
    const mayRepeat = this.#reused && this.#replies === 0 && (silent || how === "lost connection with");
    if (mayRepeat || this.#stage === "probe") return this.#stale();
    const timedOut = how === "conversation with" ? " timed out" : "";
    this.failed(localTrouble("4.4.2", `${how} ${this.peer.name}${timedOut} while ${DOING[this.#stage]}`));
  }

  /** Everybody who is open gets the trouble, and the session ends. */
  failed(trouble: Trouble): void {
    if (this.#stage === "over") return;
    this.#delivery.serverFailed(trouble);
    this.#breakOff();
  }

  #breakOff(): void {
    this.#line.spend();
    this.#line.destroy();
    this.#end("done");
  }

  /** The server closed it between messages; what was sent found nobody. */
  #stale(): void {
    this.#line.spend();
    this.#line.destroy();
    this.#end("stale");
  }

  #end(end: TransactionEnd): void {
    if (this.#stage === "over") return;
    this.#stage = "over";
    this.#wake?.();
    this.#line.finish(end);
  }

  #to(stage: Stage, time: Millis): void {
    this.#stage = stage;
    this.#line.expect(time);
  }

  #send(command: CommandLine): boolean {
    return this.#line.write(latin1Encode(command));
  }

  /** It ends when the recipients are answered. */
  get #probes(): boolean {
    return this.#delivery.request.envelope.probe !== undefined;
  }

  /** False: nobody is left to send to. */
  #prepare(): boolean {
    const { extensions, parameters: { smtp_send_xforward_command: forwards } } = this.#line;
    const prepared = prepare(this.#delivery, this.#open, extensions, this.peer.name, forwards);
    if (prepared === null) return false;
    ({ open: this.#open, commands: this.#commands, forward: this.#forward } = prepared);
    return true;
  }

  #probeReply(good: boolean): void {
    if (!good) return this.#stale();
    if (!this.#pipelining) this.#send(this.#forward[0] ?? this.#commands[0] as CommandLine);
    const { smtp_mail_timeout: mail, smtp_xforward_timeout: forward } = this.#line.parameters;
    if (this.#forward.length > 0) this.#to("xforward", forward);
    else this.#to("mail", mail);
  }

  #envelope(): string {
    return this.#forward.join("") + this.#commands.join("") + (this.#probes ? "" : DATA);
  }

  /** Whether it is taken or not, the message goes on. */
  #forwardReply(response: Response, good: boolean): void {
    const command = this.#forward[this.#forwarded++] as CommandLine;
    if (!good) {
      const what = /^XFORWARD (?:NAME|ADDR|PORT)=/.test(command) ? "name/address" : "helo/protocol";
      const said = `host ${this.peer.relay} said: ${response.text}`;
      this.#line.log.warn(`${said} (in reply to XFORWARD ${what} command)`);
    }
    const next = this.#forward[this.#forwarded];
    if (!this.#pipelining) this.#send(next ?? this.#commands[0] as CommandLine);
    if (next === undefined) this.#to("mail", this.#line.parameters.smtp_mail_timeout);
    else this.#to("xforward", this.#line.parameters.smtp_xforward_timeout);
  }

  #mailReply(response: Response, good: boolean): void {
    if (!good) {
      // The server gave the session up while it was idle.
      if (this.#reused && this.#replies === 1 && response.code === 421) return this.#stale();
      if (this.#sentAhead && response.code >= 500 && response.code <= 503) {
        // "Bad sequence of commands" and the like: no verdict about this message.
        this.#line.refuseAhead();
        return this.#stale();
      }
      this.#delivery.messageFailed(replyTrouble(this.peer, response, "MAIL FROM"));
      this.#mailRefused = true;
      if (!this.#pipelining) return this.#reset();
    }
    this.#nextRecipient();
  }

  #nextRecipient(): void {
    if (!this.#pipelining) this.#send(this.#commands[this.#answered + 1] as CommandLine);
    this.#to("rcpt", this.#line.parameters.smtp_rcpt_timeout);
  }

  #recipientReply(response: Response, good: boolean): void {
    const at = this.#open[this.#answered++] as number;
    if (!this.#mailRefused) {
      if (good && this.#probes) this.#delivery.accepted(at, response, false);
      else if (good) this.#accepted.push(at);
      else this.#delivery.recipientFailed(at, replyTrouble(this.peer, response, "RCPT TO"));
    }
    if (this.#answered < this.#open.length) return this.#nextRecipient();
    if (this.#probes) return this.#reset();
    if (!this.#pipelining) {
      if (this.#accepted.length === 0) return this.#reset();
      this.#send(DATA);
    }
    this.#to("data", this.#line.parameters.smtp_data_init_timeout);
  }

  #dataReply(response: Response): void {
    if (response.code < 300 || response.code > 399) {
      if (this.#accepted.length > 0) {
        this.#delivery.messageFailed(replyTrouble(this.peer, response, "DATA"));
      }
      return this.#reset();
    }
    this.#answered = 0;
    if (this.#accepted.length > 0) return this.#sendContent();
    // Everybody was refused, yet DATA was let through: an empty message goes to nobody (RFC 2920 §3.1).
    this.#line.write(LONE_DOT);
    if (this.#line.protocol === "smtp") return this.#to("dot", this.#line.parameters.smtp_data_done_timeout);
    // An LMTP server answers once for each recipient: for none, not at all.
    this.#line.spend();
    this.#end("done");
  }

  #dotReply(response: Response, good: boolean): void {
    const { protocol, extensions: { dsn } } = this.#line;
    const peer = this.peer;
    if (protocol === "lmtp") {
      // RFC 2033 §4.2: one reply for each recipient that was accepted, in their order.
      const at = this.#accepted[this.#answered++] as number;
      if (good) this.#delivery.accepted(at, response, dsn);
      else this.#delivery.recipientFailed(at, replyTrouble(peer, response, "end of DATA"));
      if (this.#answered < this.#accepted.length) return;
    } else if (good) {
      for (const at of this.#accepted) this.#delivery.accepted(at, response, dsn);
    } else if (this.#accepted.length > 0) {
      this.#delivery.messageFailed(replyTrouble(peer, response, "end of DATA"));
    }
    this.#end("done");
  }

  /** The server holds nothing of this message any more. */
  #reset(): void {
    this.#send(RSET);
    this.#to("rset", this.#line.parameters.smtp_rset_timeout);
  }

  #sendContent(): void {
    const { parameters, content, protocol } = this.#line;
    const { queueId } = this.#delivery.request;
    const pieces = content.pieces(queueId);
    if (this.#downgrades()) {
      this.#to("body", parameters.smtp_data_xfer_timeout);
      void this.#stream(downgraded(pieces ?? content.read(queueId), parameters));
      return;
    }
    let size = 0;
    if (pieces !== null) { for (const piece of pieces) size += piece.length; }
    if (pieces === null || size > ONE_WRITE_LIMIT) {
      this.#to("body", parameters.smtp_data_xfer_timeout);
      void this.#stream(pieces ?? content.read(queueId));
      return;
    }
    // An LMTP server answers more than once to the dot.
    const ahead = this.#pipelining && protocol === "smtp" ? this.#line.ahead() : null;
    const encoded = encodeContent(pieces, parameters.smtp_line_length_limit, ahead ?? undefined);
    if (encoded.broken) this.#logBroken();
    this.#allWritten = true;
    if (this.#line.write(encoded.bytes)) this.#to("dot", parameters.smtp_data_done_timeout);
    else this.#to("body", parameters.smtp_data_xfer_timeout);
  }

  /** 8-bit content for a server that takes none (RFC 6152 §3). */
  #downgrades(): boolean {
    const { extensions, parameters } = this.#line;
    const { encoding } = this.#delivery.request.envelope;
    return encoding === "8bit" && !extensions.eightBitMime && !parameters.disable_mime_output_conversion;
  }

  /** Content in chunks, none before the one before has left: memory stays bounded however slow the server is. */
  async #stream(chunks: readonly Uint8Array[] | AsyncIterable<Uint8Array>): Promise<void> {
    const { parameters } = this.#line;
    const encoder = new ContentEncoder(parameters.smtp_line_length_limit);
    try {
      for await (const chunk of chunks) {
        if (!await this.#writeChunk(encoder.encode(chunk))) return this.#cutShort();
      }
    } catch {
      // The store failed: without its dot, the message is not accepted.
      this.#delivery.messageFailed(localTrouble("4.3.0", `local data error while talking to ${this.peer.name}`));
      return this.#breakOff();
    }
    if (this.#stage !== "body" || this.#early !== null) return this.#cutShort();
    if (encoder.broken) this.#logBroken();
    this.#allWritten = true;
    if (this.#line.write(encoder.finish())) this.#to("dot", parameters.smtp_data_done_timeout);
  }

  /** False: no more is to be written. */
  async #writeChunk(bytes: Uint8Array): Promise<boolean> {
    if (this.#stage !== "body" || this.#early !== null) return false;
    if (!this.#line.write(bytes)) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = null;
    }
    this.#line.expect(this.#line.parameters.smtp_data_xfer_timeout);
    return this.#stage as Stage === "body" && this.#early === null;
  }

  /** The server spoke, or went away, before it had all of the message. */
  #cutShort(): void {
    const early = this.#early;
    if (this.#stage !== "body") return;
    if (early === null || early.code < 400) return this.broke("lost connection with");
    this.#delivery.messageFailed(replyTrouble(this.peer, early, "end of DATA"));
    this.#breakOff();
  }

  #logBroken(): void {
    const limit = this.#line.parameters.smtp_line_length_limit;
    this.#line.log.info(`${this.#delivery.request.queueId}: breaking line > ${limit} bytes with <CR><LF>SPACE`);
  }
}
