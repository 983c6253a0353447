/**
 * One SMTP session (RFC 5321 §3, §4.1): commands in, replies out; Postfix's texts, counters and log lines. The mail
 * transaction is in mail.ts. Not thread of control but state: the engine calls one method at a time and waits for it.
 */

import { validDomain } from "../address.ts";
import type { Logger } from "../log.ts";
import { isUtf8 } from "../maps/fold.ts";
import { REPLY, type Reply, replyText, softened } from "../reply.ts";
import type { Answer, CommandLine, DataFacts, Dialogue, Peer } from "./dialogue.ts";
import { commandWords, type Word } from "./engine/commands.ts";
import { discardedText } from "./clients.ts";
import { ClientLimits } from "./client-limits.ts";
import type { ClientRules, SessionHost } from "./host.ts";
import { SessionErrors } from "./limits.ts";
import { Mail } from "./mail.ts";
import { bad, type ClientState, escaped, good, namaddr, type Outcome, printable, refused } from "./outcome.ts";
import { NAMELESS, type PeerName } from "./peer.ts";
import { after, type Verdict } from "./facts.ts";
import { validHostname } from "./host-name.ts";
import { parseVerify } from "./transaction.ts";
import { NEUTERED, parseXclient, parseXforward } from "./xclient.ts";

type Handler = (session: Session, words: readonly Word[]) => Outcome | Promise<Outcome>;

/** In the order of the disconnect line's counts. */
const COMMANDS: Readonly<Record<string, Handler>> = {
  HELO: (session, words) => session.hello(words, "SMTP"),
  EHLO: (session, words) => session.hello(words, "ESMTP"),
  XCLIENT: (session, words) => session.xclient(words),
  XFORWARD: (session, words) => session.xforward(words),
  // Not there (README): Postfix's answers where they are switched off.
  STARTTLS: (_session, words) => bad(words.length === 1 ? REPLY.notImplemented : REPLY.syntax("STARTTLS")),
  AUTH: (session) => session.auth(),
  MAIL: (session, words) => session.withQueue(() => session.mail.mail(words)),
  RCPT: (session, words) => session.mail.rcpt(words),
  DATA: (session, words) => session.mail.startData(words),
  BDAT: (session, words) => session.mail.chunk(words),
  RSET: (session, words) => session.rset(words),
  NOOP: () => good(REPLY.ok),
  VRFY: (session, words) => session.withQueue(() => session.vrfy(words)),
  ETRN: (session, words) => session.withQueue(() => session.etrn(words)),
  QUIT: () => good(REPLY.bye),
};
const ORDER: readonly string[] = Object.keys(COMMANDS);

/** Commands after which a client must wait for the reply even with PIPELINING (RFC 2920 §3.1). */
const MUST_BE_LAST = new Set(["HELO", "EHLO", "XCLIENT", "XFORWARD", "DATA", "VRFY", "NOOP", "QUIT"]);
const JUNK = new Set(["HELO", "EHLO", "RSET", "NOOP", "VRFY", "ETRN"]);

const NO_FLUSH = "unable to talk to fast flush service";

/** Until its name and address are known. */
const STRANGER: ClientRules = { bareNewline: "normalize", xclient: false, xforward: false, limited: true };

export class Session implements Dialogue {
  readonly mail: Mail;
  readonly #host: SessionHost;
  readonly #client: ClientState;
  readonly #slot: number;
  readonly #refusal: Reply | null;
  readonly #logger: Logger;
  readonly #errors: SessionErrors;
  readonly #limits: ClientLimits;
  #improperPipelining = false;
  /** What the client list said (smtpd_delay_reject = no): nothing but QUIT is done. */
  #denied: Reply | null = null;
  #inData = false;
  #ended = false;

  /** `refusal`: all that the client hears. */
  constructor(host: SessionHost, peer: Peer, slot: number, refusal: Reply | null = null) {
    this.#host = host;
    this.#client = {
      ...peer,
      ...NAMELESS,
      login: "",
      helo: "",
      protocol: "SMTP",
      rules: STRANGER,
      where: "CONNECT",
    };
    this.#slot = slot;
    this.#refusal = refusal;
    this.#logger = host.logger.slot(slot);
    this.#errors = new SessionErrors(host.config);
    this.#limits = new ClientLimits(host.config, host.events, this.#client, this.#logger);
    this.mail = new Mail(host, this.#client, this.#logger, this.#limits);
  }

  /** host[1.2.3.4] */
  get peer(): string {
    return namaddr(this.#client);
  }

  open(): Answer | Promise<Answer> {
    const name = this.#host.peerName(this.#client.address);
    if (name instanceof Promise) return name.then((found) => this.#named(found));
    return this.#named(name);
  }

  command(line: CommandLine): Answer | Promise<Answer> {
    const { config } = this.#host;
    if (this.#errors.hopeless) return this.#tooManyErrors();
    if (line.bareNewline && this.#client.rules.bareNewline === "reject") return this.#bareNewline();
    if (config.smtputf8_enable && !isUtf8(line.text)) return this.#answer("unknown", bad(REPLY.badUtf8));
    // As in Postfix, a NUL ends the line.
    const text = line.text.split("\0", 1)[0] as string;
    this.mail.line = text;
    const words = commandWords(text);
    const first = words[0]?.text ?? "";
    if (first === "") return this.#answer("unknown", bad(REPLY.badSyntax));
    const verb = first.toUpperCase();
    if (this.#host.noop.has(verb)) return this.#answer("NOOP", good(REPLY.ok));
    const handler = Object.hasOwn(COMMANDS, verb) ? COMMANDS[verb] : undefined;
    if (handler === undefined) return this.#unknown(first, line);
    this.#client.where = verb;
    if (this.#denied !== null && verb !== "QUIT") {
      const denied = /^.21$/.test(String(this.#denied.code)) ? this.#denied : REPLY.accessDenied(namaddr(this.#client));
      return this.#answer(verb, bad(denied));
    }
    if (line.behind !== "" && this.#pipelinesImproperly(verb, line.behind) && config.smtpd_forbid_unauth_pipelining) {
      return this.#answer(verb, bad(REPLY.pipelining));
    }
    const outcome = handler(this, words);
    if (outcome instanceof Promise) return outcome.then((value) => this.#answer(verb, value));
    return this.#answer(verb, outcome);
  }

  data(piece: Uint8Array): Promise<void> | null {
    return this.mail.data(piece);
  }

  async endOfData(facts: DataFacts): Promise<Answer> {
    const verb = this.#client.where;
    const outcome = await this.mail.end(facts, verb === "BDAT");
    if (verb !== "BDAT") this.mail.forget();
    if (outcome.queued === true) this.#errors.forgive();
    return this.#answer(verb, outcome);
  }

  timeout(): string {
    this.#ended = true;
    this.#logger.info(`timeout after ${this.mail.where()} from ${namaddr(this.#client)}`);
    return replyText(REPLY.timeout(this.#host.config.myhostname));
  }

  closed(): void {
    if (!this.#ended) this.#logger.info(`lost connection after ${this.mail.where()} from ${namaddr(this.#client)}`);
    if (this.#inData) this.#errors.count("DATA", true, false);
    this.mail.forget();
    this.#logger.info(`disconnect from ${namaddr(this.#client)}${this.#errors.summary(ORDER)}`);
    this.#limits.gone();
    this.#host.gone(this.#slot);
  }

  hello(words: readonly Word[], protocol: "SMTP" | "ESMTP"): Outcome | Promise<Outcome> {
    if (words.length < 2) return bad(protocol === "SMTP" ? REPLY.heloSyntax : REPLY.ehloSyntax);
    const helo = words.slice(1).map((word) => word.text).join(" ");
    const facts = { ...this.mail.facts(), helo, sender: null, recipient: null, queueId: "" };
    return this.mail.judged(this.#host.judge("helo", facts, this.mail.policy), facts, () => {
      this.mail.forget();
      this.#client.helo = printable(helo, this.#host.syntax).replace(NEUTERED, "?");
      // Who has said EHLO may go on pipelining after HELO.
      if (protocol === "ESMTP") this.#client.protocol = protocol;
      const discarded = protocol === "ESMTP" ? discardedText(this.#client.rules) : "";
      if (discarded !== "") this.#logger.info(`discarding EHLO keywords: ${discarded}`);
      const lines = [
        this.#host.config.myhostname,
        ...protocol === "ESMTP" ? this.#host.keywords(this.#client.rules) : [],
      ];
      return good({ code: 250, status: "", lines, close: false });
    });
  }

  /** At once, unless the queue is still being opened. */
  withQueue<T>(next: () => T | Promise<T>): T | Promise<T> {
    const opening = this.#host.opening?.() ?? null;
    return opening === null ? next() : opening.then(next);
  }

  auth(): Outcome {
    const early = this.#host.config.smtpd_helo_required && this.#client.helo === "";
    return bad(early ? REPLY.sendHelloFirst : REPLY.noAuthentication);
  }

  rset(words: readonly Word[]): Outcome {
    if (words.length !== 1) return bad(REPLY.syntax("RSET"));
    this.mail.forget();
    return good(REPLY.ok);
  }

  vrfy(words: readonly Word[]): Outcome | Promise<Outcome> {
    if (this.#host.config.disable_vrfy_command) return bad(REPLY.verifyDisabled);
    const { syntax, resolves } = this.#host;
    const declared = syntax.utf8 !== "no" && words.length > 1 && words.at(-1)?.text.toUpperCase() === "SMTPUTF8";
    const argument = words.slice(1, declared ? -1 : undefined);
    if (argument.length === 0) return bad(REPLY.syntax(`VRFY address${syntax.utf8 === "no" ? "" : " [SMTPUTF8]"}`));
    const text = argument.map((word) => word.text).join(" ");
    return after(parseVerify(text, syntax, declared, resolves), (found): Outcome | Promise<Outcome> => {
      if (typeof found !== "string") return refused(found, this.#client, this.#logger, syntax, { text });
      const facts = { ...this.mail.facts(), recipient: found };
      const verdict = this.#host.judge("recipient", facts, this.mail.policy);
      return this.mail.judged(verdict, facts, () => good(REPLY.verify(text)));
    });
  }

  /** RFC 1985. */
  etrn(words: readonly Word[]): Outcome | Promise<Outcome> {
    const host = this.#host;
    if (host.config.smtpd_helo_required && this.#client.helo === "") return bad(REPLY.sendHelloFirst);
    if (this.mail.open) return bad(REPLY.etrnTransaction);
    if (words.length !== 2) return bad(REPLY.etrnSyntax);
    const domain = (words[1] as Word).text.replace(/^[@#]/, "");
    if (!validHostname(domain) && !(domain.startsWith("[") && validDomain(domain))) return bad(REPLY.etrnParameter);
    if (host.flushSite === undefined) {
      this.#logger.warn('do not use ETRN in "sendmail -bs" mode');
      return bad(REPLY.queuingFailed);
    }
    const facts = { ...this.mail.facts(), etrn: domain };
    const verdict = host.judge("etrn", facts, this.mail.policy);
    return after(this.mail.judged(verdict, facts, () => good(REPLY.queuingStarted)), async (outcome) => {
      if (outcome.reply !== REPLY.queuingStarted) return outcome;
      const answer = await host.flushSite?.(domain);
      if (answer === "started") return outcome;
      const why = answer === "denied" ? `reject: ETRN ${domain}... from ${this.peer}` : NO_FLUSH;
      this.#logger.warn(why);
      return bad(answer === "denied" ? REPLY.notServed(domain) : REPLY.queuingFailed);
    });
  }

  /** Another client speaks from now on: its session begins anew (XCLIENT_README). */
  xclient(words: readonly Word[]): Outcome | Promise<Outcome> {
    if (this.mail.open) return bad(REPLY.transactionInProgress);
    if (words.length < 2) return bad(REPLY.syntax("XCLIENT attribute=value..."));
    if (!this.#client.rules.xclient) return bad(REPLY.insufficientAuthorization);
    const change = parseXclient(words, this.#host.ipv6);
    if ("refused" in change) return bad(change.refused);
    this.mail.forget();
    Object.assign(this.#client, { helo: "" }, change);
    const greet = (reply: Reply): Outcome => ({ ...good(reply), uncounted: true });
    const greeting = this.#withRules(() => this.#greeting());
    return greeting instanceof Promise ? greeting.then(greet) : greet(greeting);
  }

  xforward(words: readonly Word[]): Outcome {
    if (this.mail.open) return bad(REPLY.transactionInProgress);
    if (words.length < 2) return bad(REPLY.syntax("XFORWARD attribute=value..."));
    if (!this.#client.rules.xforward) return bad(REPLY.insufficientAuthorization);
    const change = parseXforward(words, this.mail.forwarded, this.#host.ipv6);
    if ("refused" in change) return bad(change.refused);
    this.mail.forwarded = change;
    return good(REPLY.ok);
  }

  #named(name: PeerName): Answer | Promise<Answer> {
    Object.assign(this.#client, name);
    return this.#withRules(() => this.#greet());
  }

  /** Finds what holds for the client, then goes on. */
  #withRules<T>(next: () => T | Promise<T>): T | Promise<T> {
    const known = (rules: ClientRules): T | Promise<T> => {
      this.#client.rules = rules;
      return next();
    };
    const rules = this.#host.clientRules(this.#client.name, this.#client.address);
    return rules instanceof Promise ? rules.then(known) : known(rules);
  }

  #greet(): Answer | Promise<Answer> {
    this.#logger.info(`connect from ${namaddr(this.#client)}`);
    const refused = this.#refusal ?? this.#host.refuseConnection() ?? this.#limits.connected();
    if (refused !== null) return this.#last(replyText(refused));
    const answered = (reply: Reply): Answer =>
      reply.close ? this.#last(replyText(reply)) : { text: replyText(reply), next: "command" };
    const reply = this.#greeting();
    return reply instanceof Promise ? reply.then(answered) : answered(reply);
  }

  #greeting(): Reply | Promise<Reply> {
    const banner: Reply = { code: 220, status: "", lines: [this.#host.config.smtpd_banner], close: false };
    const facts = this.mail.facts();
    this.#denied = null;
    this.mail.policy.restart();
    const chosen = (value: Verdict): Reply => {
      if (typeof value !== "object") return banner;
      this.#denied = value;
      return this.mail.rejected(value, facts).reply;
    };
    return after(this.#host.judge("client", facts, this.mail.policy), chosen);
  }

  #last(text: string): Answer {
    this.#ended = true;
    return { text, next: "close" };
  }

  /** Turns an outcome into what goes out, with counters and the delay of smtpd_error_sleep_time. */
  #answer(verb: string, outcome: Outcome): Answer {
    if (outcome.next === "chunk") {
      return { text: "", next: "chunk", chunk: outcome.chunk ?? 0, chunkIs: outcome.chunkIs ?? "only" };
    }
    const delay = this.#errors.delay;
    // DATA counts when its message is over.
    this.#inData = outcome.next === "data";
    if (outcome.uncounted === true) this.#errors.countOnly(verb);
    else if (!this.#inData) this.#errors.count(verb, outcome.error, JUNK.has(verb));
    const { soft_bounce: soft } = this.#host.config;
    const text = replyText(soft ? softened(outcome.reply) : outcome.reply);
    if (outcome.reply.close) return { ...this.#last(text), delay };
    if (!this.#inData) return { text, next: "command", delay };
    return { text, next: "data", delay, lenient: this.#client.rules.bareNewline === "no" };
  }

  #unknown(first: string, line: CommandLine): Answer | Promise<Answer> {
    this.#client.where = "UNKNOWN";
    if (/^[!-9;-~]+[ \t]*:/.test(first)) return this.#refused(true, line);
    return after(this.#host.forbids(first), (forbidden) => this.#refused(forbidden, line));
  }

  #refused(forbidden: boolean, line: CommandLine): Answer {
    if (forbidden) {
      this.#logger.warn(`non-SMTP command from ${namaddr(this.#client)}: ${escaped(line.text).slice(0, 100)}`);
      this.#errors.count("unknown", true, false);
      return this.#last(replyText(REPLY.canBreakRulesToo));
    }
    return this.#answer("unknown", bad(REPLY.unknownCommand));
  }

  #tooManyErrors(): Answer {
    this.#logger.info(`too many errors after ${this.mail.where()} from ${namaddr(this.#client)}`);
    return this.#last(replyText(REPLY.tooManyErrors(this.#host.config.myhostname)));
  }

  #bareNewline(): Answer {
    const { myhostname, smtpd_forbid_bare_newline_reject_code: code } = this.#host.config;
    this.#logger.info(`bare <LF> received after ${this.mail.where()} from ${namaddr(this.#client)}`);
    return this.#last(replyText(REPLY.bareNewline(code, myhostname)));
  }

  #pipelinesImproperly(verb: string, behind: string): boolean {
    if (this.#client.protocol === "ESMTP" && !MUST_BE_LAST.has(verb)) return false;
    if (!this.#improperPipelining) {
      this.#logger.info(`improper command pipelining after ${verb} from ${namaddr(this.#client)}: ${escaped(behind)}`);
    }
    this.#improperPipelining = true;
    this.mail.pipelined = true;
    return true;
  }
}
