/**
 * The mail transaction of a session: MAIL, RCPT, DATA or BDAT, end of data.
 *   none --MAIL--> mail --RCPT accepted--> recipients --DATA, BDAT--> content --dot, LAST--> none
 * BDAT (RFC 3030) has a state of its own: after an error further chunks are read and dropped until LAST or RSET.
 * A message is in the queue only when finish() has resolved; everything before that is dropped by forget().
 */

import { type Envelope, NO_CLIENT, type Recipient } from "../envelope.ts";
import { messageOf, systemCode } from "../errors.ts";
import { mailDate } from "../header.ts";
import type { Logger } from "../log.ts";
import { REPLY, type Reply, replyLine } from "../reply.ts";
import type { Millis } from "../runtime.ts";
import type { ClientLimits } from "./client-limits.ts";
import type { DataFacts } from "./dialogue.ts";
import type { Word } from "./engine/commands.ts";
import type { MessageSink, SessionHost } from "./host.ts";
import { bad, type ClientState, good, namaddr, type Outcome } from "./outcome.ts";
import { after, type SessionFacts, type Verdict } from "./facts.ts";
import { PolicyMemory } from "./judging.ts";
import { UNKNOWN } from "./peer.ts";
import { type Forwarded, NOT_FORWARDED, originOf } from "./xclient.ts";
import { isRefusal, type MailCommand, parseBdat, parseMail, parseRcpt, type RcptCommand } from "./transaction.ts";

interface Transaction {
  readonly command: MailCommand;
  readonly arrived: Millis;
  readonly recipients: Recipient[];
  readonly seen: Set<string>;
  message: MessageSink | null;
  overshoot: number;
  /** As they were given, every RCPT that was taken. */
  readonly accepted: string[];
}

/** Tells the messages of this process apart, for policy services. */
let instances = 0;

export class Mail {
  readonly #host: SessionHost;
  readonly #client: ClientState;
  readonly #logger: Logger;
  readonly #limits: ClientLimits;
  #transaction: Transaction | null = null;
  #tooBig = false;
  #receiving = false;
  /** "failed": chunks are dropped. */
  #bdat: "none" | "active" | "failed" = "none";
  #chunk = { bytes: 0, last: false };
  #chunkRefused: Reply | null = null;
  /** What XFORWARD said for the next message. */
  forwarded: Forwarded = NOT_FORWARDED;
  /** Content bytes of this message so far. */
  #received = 0;
  /** Commands came ahead of the replies without permission. */
  pipelined = false;
  #instance = "";
  readonly policy: PolicyMemory;

  constructor(host: SessionHost, client: ClientState, logger: Logger, limits: ClientLimits) {
    this.#limits = limits;
    this.#host = host;
    this.#client = client;
    this.#logger = logger;
    this.policy = new PolicyMemory(logger);
  }

  /** What policy may know now. */
  facts(): SessionFacts {
    const transaction = this.#transaction;
    return {
      client: this.#client,
      helo: this.#client.helo,
      sender: transaction?.command.sender ?? null,
      recipient: null,
      recipients: transaction?.accepted.length ?? 0,
      queueId: transaction?.message?.id ?? "",
      size: transaction?.command.size ?? 0,
      instance: this.#instance,
      etrn: null,
      pipelined: this.pipelined,
    };
  }

  /** Of DATA and later: the recipient where there is but one. */
  #factsOfMessage(where: string, size?: number): SessionFacts {
    const facts = this.facts();
    const transaction = this.#transaction;
    const client = { ...this.#client, where };
    const only = facts.recipients === 1 ? transaction?.accepted[0] ?? null : null;
    return { ...facts, client, recipient: only, ...size === undefined ? {} : { size } };
  }

  /** For "lost connection after …". */
  where(): string {
    return this.#receiving ? `${this.#client.where} (${this.#received} bytes)` : this.#client.where;
  }

  mail(words: readonly Word[]): Outcome | Promise<Outcome> {
    const { config, clock } = this.#host;
    if (config.smtpd_helo_required && this.#client.helo === "") return bad(REPLY.sendHelloFirst);
    if (this.#transaction !== null) return bad(REPLY.nestedMail);
    if (this.#bdat !== "none") return bad(REPLY.notAfterBdat("MAIL"));
    const command = parseMail(words, this.#host.syntax);
    if (isRefusal(command)) return this.refusedSyntax(command.refused, command.illegalAddress, words[2]?.text ?? "");
    const tooMuch = this.#limits.message();
    if (tooMuch !== null) return bad(tooMuch);
    const facts = { ...this.facts(), sender: command.sender, size: command.size };
    const limit = config.message_size_limit;
    if (limit > 0 && command.size > limit) return this.rejected(REPLY.tooBig, facts);
    if (this.#host.diskFull(command.size)) return this.rejected(REPLY.noSpace, facts);
    const judged = this.judged(this.#host.judge("sender", facts, this.policy), facts, () => {
      const arrived = clock.now();
      this.#instance = `${this.#client.port.toString(16)}.${arrived.toString(16)}.${(instances++).toString(16)}`;
      this.#tooBig = false;
      this.#transaction = {
        command,
        arrived,
        recipients: [],
        seen: new Set(),
        message: null,
        overshoot: 0,
        accepted: [],
      };
      return good(REPLY.senderOk);
    });
    return after(judged, (outcome) => {
      // What tables wanted for a message that will not come.
      if (outcome.error) this.policy.forget();
      return outcome;
    });
  }

  rcpt(words: readonly Word[]): Outcome | Promise<Outcome> {
    const { config } = this.#host;
    const transaction = this.#transaction;
    if (transaction === null) return bad(REPLY.needMail);
    if (this.#bdat !== "none") return bad(REPLY.notAfterBdat("RCPT"));
    const command = parseRcpt(words, this.#host.syntax);
    if (isRefusal(command)) return this.refusedSyntax(command.refused, command.illegalAddress, words[2]?.text ?? "");
    const tooMany = this.#limits.recipient();
    if (tooMany !== null) return bad(tooMany);
    if (config.smtpd_recipient_limit > 0 && transaction.recipients.length >= config.smtpd_recipient_limit) {
      const over = transaction.overshoot++ >= config.smtpd_recipient_overshoot_limit;
      return over ? bad(REPLY.tooManyRecipients) : good(REPLY.tooManyRecipients);
    }
    const facts = { ...this.facts(), recipient: command.recipient };
    return this.judged(this.#host.judge("recipient", facts, this.policy), facts, () => {
      transaction.accepted.push(command.recipient);
      if (transaction.message === null) this.#openMessage(transaction);
      this.#addRecipient(transaction, command);
      return good(REPLY.recipientOk);
    });
  }

  startData(words: readonly Word[]): Outcome | Promise<Outcome> {
    if (this.#bdat !== "none") return bad(REPLY.dataAfterBdat);
    const missing = this.#missing();
    if (missing !== null) return bad(missing);
    if (words.length !== 1) return bad(REPLY.syntax("DATA"));
    const facts = this.#factsOfMessage("DATA");
    return this.judged(this.#host.judge("data", facts, this.policy), facts, () => {
      this.#begin();
      return { ...good(REPLY.startData), next: "data" as const };
    });
  }

  /** The chunk is read in any case: the reply comes when it is over (endOfData). */
  chunk(words: readonly Word[]): Outcome | Promise<Outcome> {
    const parsed = parseBdat(words);
    if (parsed === null) {
      const text = words.map((word) => word.text).join(" ");
      const id = this.#message?.id ?? "NOQUEUE";
      this.#logger.warn(`${id}: malformed BDAT command syntax from ${namaddr(this.#client)}: ${text}`);
      return bad({ ...REPLY.badChunkSize, close: true });
    }
    const first = this.#bdat === "none";
    this.#chunk = parsed;
    const { bytes, last } = parsed;
    const chunkIs = last ? (first ? "only" : "last") : first ? "first" : "next";
    const reading: Outcome = { ...good(REPLY.ok), next: "chunk", chunk: bytes, chunkIs };
    if (first && this.#missing() === null) {
      const facts = this.#factsOfMessage("BDAT");
      const judged = this.judged(this.#host.judge("data", facts, this.policy), facts, () => {
        this.#bdat = "active";
        this.#begin();
        return reading;
      });
      return judged instanceof Promise
        ? judged.then((value) => this.#afterReading(value, reading))
        : this.#afterReading(judged, reading);
    }
    return reading;
  }

  /** A chunk that is refused is read all the same; its reply comes when it is over. */
  #afterReading(outcome: Outcome, reading: Outcome): Outcome {
    this.#chunkRefused = outcome === reading ? null : outcome.reply;
    return reading;
  }

  data(piece: Uint8Array): Promise<void> | null {
    const message = this.#message;
    if (message === null || this.#tooBig || this.#bdat === "failed" || !this.#receiving) return null;
    const limit = this.#host.config.message_size_limit;
    this.#received += piece.length;
    if (limit > 0 && this.#received > limit) {
      this.#logger.warn(`${message.id}: queue file size limit exceeded`);
      this.#tooBig = true;
      return null;
    }
    return message.data(piece);
  }

  async end(facts: DataFacts, chunked: boolean): Promise<Outcome> {
    if (!chunked) return await this.#endOfMessage(facts);
    const { bytes, last } = this.#chunk;
    const earlier = this.#bdat === "failed";
    if (this.#bdat === "none") {
      const reply = this.#chunkRefused ?? this.#missing() ?? REPLY.serviceUnavailable;
      this.#chunkRefused = null;
      this.#chunkFailed(last);
      return bad(reply);
    }
    if (earlier) {
      this.#chunkFailed(last);
      return bad(REPLY.chunkDiscarded(bytes));
    }
    if (this.#tooBig) {
      this.#chunkFailed(last);
      return bad(REPLY.chunkTooBig);
    }
    if (!last) return good(REPLY.chunkOk(bytes));
    const outcome = await this.#endOfMessage(facts);
    this.forget();
    return outcome;
  }

  /** MAIL was taken and the transaction is not over. */
  get open(): boolean {
    return this.#transaction !== null;
  }

  /** Ends the transaction; a message that is not in the queue is dropped. */
  forget(): void {
    const message = this.#message;
    this.#transaction = null;
    this.policy.forget();
    this.#instance = "";
    this.forwarded = NOT_FORWARDED;
    this.#receiving = false;
    this.#bdat = "none";
    message?.abort().catch((caught: unknown) => this.#logger.warn(`${message.id}: ${messageOf(caught)}`));
  }

  refusedSyntax(refused: Reply, illegalAddress: boolean, text: string): Outcome {
    if (illegalAddress) {
      const { where } = this.#client;
      this.#logger.warn(`Illegal address syntax from ${namaddr(this.#client)} in ${where} command: ${text}`);
    }
    return bad(refused);
  }

  /** Goes on with `passed` unless the verdict is a reply. */
  judged(
    verdict: Verdict | Promise<Verdict>,
    facts: SessionFacts,
    passed: () => Outcome,
  ): Outcome | Promise<Outcome> {
    if (verdict instanceof Promise) return verdict.then((value) => this.judged(value, facts, passed));
    return typeof verdict === "object" ? this.rejected(verdict, facts) : passed();
  }

  get #message(): MessageSink | null {
    return this.#transaction?.message ?? null;
  }

  /** Why content cannot come now; null when it can. */
  #missing(): Reply | null {
    if (this.#transaction === null) return REPLY.needRecipient;
    return this.#transaction.message === null ? REPLY.noValidRecipients : null;
  }

  #chunkFailed(last: boolean): void {
    this.forget();
    this.#bdat = last ? "none" : "failed";
  }

  #addRecipient(transaction: Transaction, command: RcptCommand): void {
    const { recipient, originalRecipient, notify } = command;
    const address = this.#host.rewrite(recipient);
    const key = `${address}\0${recipient}\0${originalRecipient}\0${notify.join()}`;
    if (transaction.seen.has(key)) return;
    transaction.seen.add(key);
    const original = address === recipient ? "" : recipient;
    transaction.recipients.push({ address, original, originalRecipient, notify });
  }

  #openMessage(transaction: Transaction): void {
    transaction.message = this.#host.openMessage();
    const { login } = this.#client;
    const { ident, name, address } = this.forwarded;
    const sasl = login === "" ? "" : `, sasl_method=XCLIENT, sasl_username=${login}`;
    const id = ident === "" ? "" : `, orig_queue_id=${ident}`;
    const known = name !== "" || address !== "";
    const client = known ? `, orig_client=${name || UNKNOWN}[${address || UNKNOWN}]` : "";
    this.#logger.info(`${transaction.message.id}: client=${namaddr(this.#client)}${sasl}${id}${client}`);
  }

  #begin(): void {
    const transaction = this.#transaction as Transaction;
    const message = transaction.message as MessageSink;
    this.#receiving = true;
    this.#received = 0;
    message.begin({
      sender: this.#host.rewrite(transaction.command.sender),
      arrived: transaction.arrived,
      complete: this.#completes(),
      checked: !this.#host.config.receive_override_options.includes("no_header_body_checks"),
      unmapped: this.#host.config.receive_override_options.includes("no_address_mappings"),
      client: this.#client,
      recipient: transaction.recipients.at(-1)?.address ?? "",
    }, this.policy.actions.prepended.map((line) => `${line}\r\n`).join("") + this.#trace(transaction, message.id));
  }

  /** XFORWARD may say whether the message is of this site. */
  #completes(): boolean {
    const { source } = this.forwarded;
    return source === "" ? this.#host.completesFor(this.#client.address) : source === "LOCAL";
  }

  /** A refusal by policy, as log and client see it. */
  rejected(refused: Reply, facts: SessionFacts): Outcome {
    // HANGUP: no reply, and its own line in the log.
    if (refused.lines.length === 0) return bad(refused);
    const { helo } = facts;
    const { protocol, where } = facts.client;
    const from = facts.sender === null ? "" : ` from=<${facts.sender}>`;
    const to = facts.recipient === null ? "" : ` to=<${facts.recipient}>`;
    const greeted = helo === "" ? "" : ` helo=<${helo}>`;
    this.#logger.info(
      `${this.#message?.id ?? "NOQUEUE"}: reject: ${where} from ${namaddr(this.#client)}: ${replyLine(refused)};` +
        `${from}${to} proto=${protocol}${greeted}`,
    );
    return bad(refused);
  }

  /** RFC 5321 §4.4, in Postfix's form: `for` only with a single recipient. */
  #trace(transaction: Transaction, id: string): string {
    const { config, clock } = this.#host;
    const { address, helo, name, protocol } = this.#client;
    const { arrived, recipients } = transaction;
    const literal = address.includes(":") ? `IPv6:${address}` : address;
    const date = mailDate(arrived, clock.zoneMinutes(arrived), clock.zoneName(arrived));
    const only = recipients.length === 1 ? recipients[0] : undefined;
    const from = `Received: from ${helo === "" ? name : helo} (${name} [${literal}])\r\n`;
    const by = `\tby ${config.myhostname} (${config.mail_name}) with ${protocol} id ${id}`;
    if (only === undefined) return `${from}${by};\r\n\t${date}\r\n`;
    return `${from}${by}\r\n\tfor <${only.original === "" ? only.address : only.original}>; ${date}\r\n`;
  }

  async #endOfMessage(facts: DataFacts): Promise<Outcome> {
    const transaction = this.#transaction;
    const message = this.#message;
    this.#receiving = false;
    if (transaction === null || message === null) return bad(REPLY.serviceUnavailable);
    const { config } = this.#host;
    if (facts.bareNewline && this.#client.rules.bareNewline === "reject") {
      return bad(REPLY.bareNewline(config.smtpd_forbid_bare_newline_reject_code, config.myhostname));
    }
    if (this.#tooBig) return bad(REPLY.messageTooBig);
    const policyFacts = this.#factsOfMessage("END-OF-MESSAGE", this.#received);
    const verdict = await this.#host.judge("end-of-data", policyFacts, this.policy);
    if (typeof verdict === "object") return this.rejected(verdict, policyFacts);
    try {
      return await this.#queue(transaction, message);
    } catch (caught) {
      const code = systemCode(caught);
      this.#logger.warn(`${message.id}: ${messageOf(caught)}`);
      return bad(code === "ENOSPC" || code === "EDQUOT" ? REPLY.noSpace : REPLY.queueWriteError);
    }
  }

  async #queue(transaction: Transaction, message: MessageSink): Promise<Outcome> {
    const { command, recipients, arrived } = transaction;
    const { encoding, ret, envid } = command;
    const client = originOf(this.forwarded) ?? originOf(this.#client) ?? NO_CLIENT;
    const sender = this.#host.rewrite(command.sender);
    const { actions } = this.policy;
    const filter = actions.filter ?? this.#host.config.content_filter;
    const filtered = filter === "" ? {} : { filter };
    const envelope: Envelope = { sender, recipients, arrived, client, encoding, ret, envid, ...filtered };
    const result = await message.finish(envelope, actions);
    transaction.message = null;
    if ("refused" in result) return bad(result.refused);
    const chunked = this.#client.where === "BDAT";
    const reply = chunked ? REPLY.chunksQueued(this.#received, result.queuedAs) : REPLY.queued(result.queuedAs);
    return { ...good(reply), queued: true };
  }
}
