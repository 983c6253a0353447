/**
 * One SMTP session (RFC 5321 §3, §4.1): commands in, replies out; Postfix's texts, counters and log lines.
 *   greeted --HELO/EHLO--> hello --MAIL--> mail --RCPT accepted--> recipients --DATA--> content --dot--> hello
 * A message exists in the queue only after `content` ended and its commit is durable. Errors of storage become 4xx;
 * what is not understood inside ends as 451, never as a lost message.
 */

import { quoteLocal, splitAddress } from "../address.ts";
import type { CleanupMessage } from "../cleanup/cleanup.ts";
import type { Recipient } from "../envelope.ts";
import { messageOf, systemCode } from "../errors.ts";
import { mailDate } from "../header.ts";
import { type Reply, REPLY, replyLine, replyText } from "../reply.ts";
import type { Millis } from "../runtime.ts";
import type { Answer, CommandLine, DataFacts, Dialogue, Peer } from "./dialogue.ts";
import { commandWords, type Word } from "./engine/commands.ts";
import { SessionErrors } from "./limits.ts";
import type { SessionFacts, Verdict } from "./restrictions.ts";
import type { Smtpd } from "./smtpd.ts";
import { isRefusal, type MailCommand, parseMail, parseRcpt } from "./transaction.ts";

/** Replies of a command, and whether Postfix counts it as an error of the client. */
interface Outcome {
  readonly reply: Reply;
  readonly error: boolean;
  readonly next?: "data";
  /** Text that replaces the reply (EHLO has no single form). */
  readonly text?: string;
}

const good = (value: Reply): Outcome => ({ reply: value, error: false });
const bad = (value: Reply): Outcome => ({ reply: value, error: true });

type Handler = (session: Session, words: readonly Word[]) => Outcome | Promise<Outcome>;

/** In the order of the disconnect line's counts. */
const COMMANDS: Readonly<Record<string, Handler>> = {
  HELO: (session, words) => session.hello(words, "SMTP"),
  EHLO: (session, words) => session.hello(words, "ESMTP"),
  MAIL: (session, words) => session.mail(words),
  RCPT: (session, words) => session.rcpt(words),
  DATA: (session, words) => session.startData(words),
  RSET: (session, words) => session.rset(words),
  NOOP: (session) => session.noop(),
  VRFY: (session, words) => session.vrfy(words),
  QUIT: () => good(REPLY.bye),
};

/** Commands after which a client must wait for the reply even with PIPELINING (RFC 2920 §3.1). */
const MUST_BE_LAST = new Set(["HELO", "EHLO", "DATA", "VRFY", "NOOP", "QUIT"]);
const JUNK = new Set(["HELO", "EHLO", "RSET", "NOOP", "VRFY"]);

interface Transaction {
  readonly command: MailCommand;
  readonly arrived: Millis;
  readonly recipients: Recipient[];
  readonly seen: Set<string>;
  message: CleanupMessage | null;
  overshoot: number;
}

export class Session implements Dialogue {
  readonly #smtpd: Smtpd;
  readonly #peer: Peer;
  readonly #slot: number;
  readonly #errors: SessionErrors;
  #name = "unknown";
  #helo = "";
  #protocol: "SMTP" | "ESMTP" = "SMTP";
  #where = "CONNECT";
  #transaction: Transaction | null = null;
  #tooBig = false;
  #receiving = false;
  #improperPipelining = false;
  #ended = false;

  constructor(smtpd: Smtpd, peer: Peer, slot: number) {
    this.#smtpd = smtpd;
    this.#peer = peer;
    this.#slot = slot;
    this.#errors = new SessionErrors(smtpd.config);
  }

  open(): Answer | Promise<Answer> {
    const name = this.#smtpd.peerName(this.#peer.address);
    if (name instanceof Promise) return name.then((found) => this.#greet(found));
    return this.#greet(name);
  }

  command(line: CommandLine): Answer | Promise<Answer> {
    const { config } = this.#smtpd;
    if (this.#errors.hopeless) return this.#tooManyErrors();
    if (line.bareNewline && config.smtpd_forbid_bare_newline === "reject") return this.#bareNewline();
    const words = commandWords(line.text);
    const first = words[0]?.text ?? "";
    if (first === "") return this.#answer("unknown", bad(REPLY.badSyntax), line);
    const verb = first.toUpperCase();
    if (this.#smtpd.noop.has(verb)) return this.#answer("NOOP", this.noop(), line);
    const handler = Object.hasOwn(COMMANDS, verb) ? COMMANDS[verb] : undefined;
    if (handler === undefined) return this.#unknown(first, line);
    this.#where = verb;
    if (this.#pipelinesImproperly(verb, line) && config.smtpd_forbid_unauth_pipelining) {
      return this.#answer(verb, bad(REPLY.pipelining), line);
    }
    const outcome = handler(this, words);
    if (outcome instanceof Promise) return outcome.then((value) => this.#answer(verb, value, line));
    return this.#answer(verb, outcome, line);
  }

  data(piece: Uint8Array): Promise<void> | null {
    const message = this.#transaction?.message ?? null;
    if (message === null || this.#tooBig) return null;
    const limit = this.#smtpd.config.message_size_limit;
    if (limit > 0 && message.size + piece.length > limit) {
      this.#smtpd.logger.slot(this.#slot).warn(`${message.id}: queue file size limit exceeded`);
      this.#tooBig = true;
      return null;
    }
    return message.data(piece);
  }

  async endOfData(facts: DataFacts): Promise<Answer> {
    this.#receiving = false;
    const outcome = await this.#endOfMessage(facts);
    this.#forget();
    return this.#answer("DATA", outcome, null);
  }

  timeout(): string {
    this.#ended = true;
    this.#log(`timeout after ${this.#whereText()} from ${this.#namaddr}`);
    return replyText(REPLY.timeout(this.#smtpd.config.myhostname));
  }

  closed(): void {
    if (!this.#ended) this.#log(`lost connection after ${this.#whereText()} from ${this.#namaddr}`);
    this.#forget();
    this.#log(`disconnect from ${this.#namaddr}${this.#errors.summary(Object.keys(COMMANDS))}`);
    this.#smtpd.gone(this.#slot);
  }

  hello(words: readonly Word[], protocol: "SMTP" | "ESMTP"): Outcome | Promise<Outcome> {
    if (words.length < 2) return bad(protocol === "SMTP" ? REPLY.heloSyntax : REPLY.ehloSyntax);
    const helo = words.slice(1).map((word) => word.text).join(" ").replace(/[^\x21-\x7e]/g, "?");
    const verdict = this.#smtpd.stages.at("helo", { ...this.facts(), helo });
    return this.#judged(verdict, () => {
      this.#forget();
      this.#helo = helo;
      this.#protocol = protocol;
      const { config } = this.#smtpd;
      if (protocol === "SMTP") return good({ ...REPLY.ok, status: "", lines: [config.myhostname] });
      return good({ code: 250, status: "", lines: [config.myhostname, ...this.#smtpd.keywords], close: false });
    });
  }

  mail(words: readonly Word[]): Outcome | Promise<Outcome> {
    const { config, clock } = this.#smtpd;
    if (config.smtpd_helo_required && this.#helo === "") return bad(REPLY.sendHelloFirst);
    if (this.#transaction !== null) return bad(REPLY.nestedMail);
    const command = parseMail(words, this.#smtpd.syntax);
    if (isRefusal(command)) return this.#refusedSyntax(command.refused, command.illegalAddress, words[2]);
    const facts = { ...this.facts(), sender: command.sender };
    const limit = config.message_size_limit;
    if (limit > 0 && command.size > limit) return this.#rejected(REPLY.tooBig, facts);
    if (this.#smtpd.diskFull(command.size)) return this.#rejected(REPLY.noSpace, facts);
    return this.#judged(this.#smtpd.stages.at("sender", facts), () => {
      this.#tooBig = false;
      this.#transaction = {
        command,
        arrived: clock.now(),
        recipients: [],
        seen: new Set(),
        message: null,
        overshoot: 0,
      };
      return good(REPLY.senderOk);
    }, facts);
  }

  rcpt(words: readonly Word[]): Outcome | Promise<Outcome> {
    const { config } = this.#smtpd;
    const transaction = this.#transaction;
    if (transaction === null) return bad(REPLY.needMail);
    const command = parseRcpt(words, this.#smtpd.syntax);
    if (isRefusal(command)) return this.#refusedSyntax(command.refused, command.illegalAddress, words[2]);
    if (config.smtpd_recipient_limit > 0 && transaction.recipients.length >= config.smtpd_recipient_limit) {
      const over = transaction.overshoot++ >= config.smtpd_recipient_overshoot_limit;
      return over ? bad(REPLY.tooManyRecipients) : good(REPLY.tooManyRecipients);
    }
    const facts = { ...this.facts(), recipient: command.recipient, routed: command.routed };
    return this.#judged(this.#smtpd.stages.at("recipient", facts), () => {
      const address = this.#smtpd.rewrite(command.recipient);
      if (transaction.message === null) this.#openMessage(transaction);
      const { originalRecipient, notify } = command;
      const key = `${address}\0${command.recipient}\0${originalRecipient}\0${notify.join()}`;
      if (!transaction.seen.has(key)) {
        transaction.seen.add(key);
        const original = address === command.recipient ? "" : command.recipient;
        transaction.recipients.push({ address, original, originalRecipient, notify });
      }
      return good(REPLY.recipientOk);
    }, facts);
  }

  startData(words: readonly Word[]): Outcome | Promise<Outcome> {
    const transaction = this.#transaction;
    if (transaction === null) return bad(REPLY.needRecipient);
    const { message } = transaction;
    if (message === null) return bad(REPLY.noValidRecipients);
    if (words.length !== 1) return bad(REPLY.syntax("DATA"));
    return this.#judged(this.#smtpd.stages.at("data", this.facts()), () => {
      this.#receiving = true;
      message.begin({
        sender: this.#smtpd.rewrite(transaction.command.sender),
        arrived: transaction.arrived,
        complete: this.#smtpd.completesFor(this.#peer.address),
      }, this.#received(transaction, message.id));
      return { ...good(REPLY.startData), next: "data" as const };
    });
  }

  rset(words: readonly Word[]): Outcome {
    if (words.length !== 1) return bad(REPLY.syntax("RSET"));
    this.#forget();
    return good(REPLY.ok);
  }

  noop(): Outcome {
    return good(REPLY.ok);
  }

  vrfy(words: readonly Word[]): Outcome {
    const { config } = this.#smtpd;
    if (config.disable_vrfy_command) return bad(REPLY.verifyDisabled);
    if (words.length < 2) return bad(REPLY.syntax("VRFY address"));
    const address = words.slice(1).map((word) => word.text).join(" ");
    if (words.length > 2) return this.#refusedSyntax(REPLY.badRecipient, true, { text: address, bad: false });
    return good(REPLY.verify(address));
  }

  /** What policy may know now. */
  facts(): SessionFacts {
    return {
      client: { name: this.#name, address: this.#peer.address },
      helo: this.#helo,
      sender: this.#transaction?.command.sender ?? null,
      recipient: null,
      routed: false,
    };
  }

  get #namaddr(): string {
    return `${this.#name}[${this.#peer.address}]`;
  }

  #log(text: string): void {
    this.#smtpd.logger.slot(this.#slot).info(text);
  }

  #whereText(): string {
    return this.#receiving ? `DATA (${this.#transaction?.message?.size ?? 0} bytes)` : this.#where;
  }

  #greet(name: string): Answer | Promise<Answer> {
    this.#name = name;
    this.#log(`connect from ${this.#namaddr}`);
    const refused = this.#smtpd.refuseConnection();
    if (refused !== null) return this.#last(replyText(refused));
    const verdict = this.#smtpd.stages.at("client", this.facts());
    const greeting = { code: 220, status: "", lines: [this.#smtpd.config.smtpd_banner], close: false };
    const answered = (value: Verdict): Answer => {
      const reply = typeof value === "object" ? value : greeting;
      return { text: replyText(reply), next: reply.close ? "close" : "command" };
    };
    return verdict instanceof Promise ? verdict.then(answered) : answered(verdict);
  }

  #last(text: string): Answer {
    this.#ended = true;
    return { text, next: "close" };
  }

  /** Turns an outcome into what goes out, with counters and the delay of smtpd_error_sleep_time. */
  #answer(verb: string, outcome: Outcome, _line: CommandLine | null): Answer {
    const delay = this.#errors.delay;
    this.#errors.count(verb, outcome.error, JUNK.has(verb));
    const text = replyText(outcome.reply);
    if (outcome.reply.close) return { ...this.#last(text), delay };
    return { text, next: outcome.next ?? "command", delay };
  }

  #unknown(first: string, line: CommandLine): Answer {
    this.#where = "UNKNOWN";
    const header = /^[^\s:]+:$/.test(first) || /^[!-9;-~]+:/.test(line.text);
    if (header || this.#smtpd.forbidden.has(first.toUpperCase())) {
      this.#smtpd.logger.slot(this.#slot).warn(`non-SMTP command from ${this.#namaddr}: ${line.text.slice(0, 100)}`);
      this.#errors.count("unknown", true, false);
      return this.#last(replyText(REPLY.canBreakRulesToo));
    }
    return this.#answer("unknown", bad(REPLY.unknownCommand), line);
  }

  #tooManyErrors(): Answer {
    this.#log(`too many errors after ${this.#where} from ${this.#namaddr}`);
    return this.#last(replyText(REPLY.tooManyErrors(this.#smtpd.config.myhostname)));
  }

  #bareNewline(): Answer {
    const { config } = this.#smtpd;
    this.#log(`disconnect: bare <LF> received after ${this.#where} from ${this.#namaddr}`);
    return this.#last(replyText(REPLY.bareNewline(config.smtpd_forbid_bare_newline_reject_code, config.myhostname)));
  }

  #pipelinesImproperly(verb: string, line: CommandLine): boolean {
    if (line.behind === "" || (this.#protocol === "ESMTP" && !MUST_BE_LAST.has(verb))) return false;
    if (!this.#improperPipelining) {
      const shown = line.behind.replace(/\\/g, "\\\\").replace(/\r/g, "\\r").replace(/\n/g, "\\n");
      this.#log(`improper command pipelining after ${verb} from ${this.#namaddr}: ${shown}`);
    }
    this.#improperPipelining = true;
    return true;
  }

  #refusedSyntax(refused: Reply, illegalAddress: boolean, word: Word | undefined): Outcome {
    if (illegalAddress) {
      const text = `Illegal address syntax from ${this.#namaddr} in ${this.#where} command: ${word?.text ?? ""}`;
      this.#smtpd.logger.slot(this.#slot).warn(text);
    }
    return bad(refused);
  }

  #judged(
    verdict: Verdict | Promise<Verdict>,
    passed: () => Outcome,
    facts: SessionFacts = this.facts(),
  ): Outcome | Promise<Outcome> {
    if (verdict instanceof Promise) return verdict.then((value) => this.#judged(value, passed, facts));
    return typeof verdict === "object" ? this.#rejected(verdict, facts) : passed();
  }

  #rejected(refused: Reply, facts: SessionFacts): Outcome {
    const id = this.#transaction?.message?.id ?? "NOQUEUE";
    const from = facts.sender === null ? "" : ` from=<${facts.sender}>`;
    const to = facts.recipient === null ? "" : ` to=<${facts.recipient}>`;
    const helo = this.#helo === "" ? "" : ` helo=<${this.#helo}>`;
    this.#log(
      `${id}: reject: ${this.#where} from ${this.#namaddr}: ${replyLine(refused)};` +
        `${from}${to} proto=${this.#protocol}${helo}`,
    );
    return bad(refused);
  }

  #openMessage(transaction: Transaction): void {
    transaction.message = this.#smtpd.cleanup.open();
    this.#log(`${transaction.message.id}: client=${this.#namaddr}`);
  }

  /** RFC 5321 §4.4, in Postfix's form: `for` only with a single recipient. */
  #received(transaction: Transaction, id: string): string {
    const { config, clock } = this.#smtpd;
    const { address } = this.#peer;
    const literal = address.includes(":") ? `IPv6:${address}` : address;
    const date = mailDate(transaction.arrived, clock.zoneMinutes(transaction.arrived), clock.zoneName(transaction.arrived));
    const only = transaction.recipients.length === 1 ? transaction.recipients[0] : undefined;
    const from = `Received: from ${this.#helo === "" ? this.#name : this.#helo} (${this.#name} [${literal}])\r\n`;
    const by = `\tby ${config.myhostname} (${config.mail_name}) with ${this.#protocol} id ${id}`;
    if (only === undefined) return `${from}${by};\r\n\t${date}\r\n`;
    return `${from}${by}\r\n\tfor <${only.original === "" ? only.address : only.original}>; ${date}\r\n`;
  }

  async #endOfMessage(facts: DataFacts): Promise<Outcome> {
    const transaction = this.#transaction;
    const message = transaction?.message ?? null;
    if (transaction === null || message === null) return bad(REPLY.serviceUnavailable);
    const { config } = this.#smtpd;
    if (facts.bareNewline && config.smtpd_forbid_bare_newline === "reject") {
      return bad(REPLY.bareNewline(config.smtpd_forbid_bare_newline_reject_code, config.myhostname));
    }
    if (this.#tooBig) return bad(REPLY.messageTooBig);
    const verdict = await this.#smtpd.stages.at("end-of-data", this.facts());
    if (typeof verdict === "object") return this.#rejected(verdict, this.facts());
    try {
      return await this.#queue(transaction, message);
    } catch (caught) {
      const code = systemCode(caught);
      this.#smtpd.logger.slot(this.#slot).warn(`${message.id}: ${messageOf(caught)}`);
      return bad(code === "ENOSPC" || code === "EDQUOT" ? REPLY.noSpace : REPLY.queueWriteError);
    }
  }

  async #queue(transaction: Transaction, message: CleanupMessage): Promise<Outcome> {
    const { command, recipients, arrived } = transaction;
    const { address, port } = this.#peer;
    const result = await message.finish({
      sender: this.#smtpd.rewrite(command.sender),
      recipients,
      arrived,
      client: { name: this.#name, address, port, helo: this.#helo, protocol: this.#protocol },
      encoding: command.encoding,
      ret: command.ret,
      envid: command.envid,
    });
    if (result.kind === "refused") {
      transaction.message = null;
      return bad(result.reply);
    }
    transaction.message = null;
    this.#smtpd.queued(result.committed);
    return good(REPLY.queued(result.committed.entry.id));
  }

  /** Ends the transaction; a message that was not committed is dropped. */
  #forget(): void {
    const message = this.#transaction?.message ?? null;
    this.#transaction = null;
    this.#receiving = false;
    message?.abort().catch((caught: unknown) => this.#smtpd.logger.warn(`${message.id}: ${messageOf(caught)}`));
  }
}

/** An address as it stands in log lines. */
export function logAddress(address: string): string {
  const { local, domain } = splitAddress(address);
  return domain === "" ? quoteLocal(local) : address;
}
