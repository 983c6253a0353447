/**
 * One evaluation of restriction lists and what a session remembers between them (smtpd(8)):
 *   warn_if_reject    the next refusal is logged only
 *   defer_if_permit   a look-up failed that might have refused: what would be taken is put off instead
 *   defer_if_reject   a look-up failed that might have permitted: what would be refused for good is put off instead
 * The first reason of a kind stays. Nothing is thrown; a refusal because of the system's own trouble ("hard") is never
 * turned into a warning.
 */

import type { Logger } from "../log.ts";
import { REPLY, type Reply, reply, softened } from "../reply.ts";
import type { Status } from "../status.ts";
import { clientOf, type SessionFacts, type Subject, type Verdict } from "./facts.ts";
import { type ResolvedAddress } from "./resolved.ts";

/** A refusal that waits for the outcome. */
export interface Pending {
  readonly code: number;
  readonly status: Status;
  readonly text: string;
}

/** What access tables want done with the message. */
export interface MessageActions {
  held: boolean;
  discarded: boolean;
  filter: string | null;
  redirect: string | null;
  readonly copies: string[];
  readonly prepended: string[];
}

const noActions = (): MessageActions => ({
  held: false,
  discarded: false,
  filter: null,
  redirect: null,
  copies: [],
  prepended: [],
});

/** One session's memory. */
export class PolicyMemory {
  readonly logger: Logger;
  /** defer_if_permit as it stood after each stage. */
  readonly pending: { client: Pending | null; helo: Pending | null; sender: Pending | null } = {
    client: null,
    helo: null,
    sender: null,
  };
  /** reject_unlisted_sender has spoken for this sender. */
  senderListed = false;
  actions: MessageActions = noActions();

  constructor(logger: Logger) {
    this.logger = logger;
  }

  /** The mail transaction is over, or MAIL was refused. */
  forget(): void {
    this.actions = noActions();
  }

  /** Another client speaks (XCLIENT). */
  restart(): void {
    this.forget();
    this.pending.client = this.pending.helo = this.pending.sender = null;
  }
}

/** postconf(5): soft_bounce, and what a bad reply code becomes. */
const MIN_CODE = 400;
const MAX_CODE = 599;
const TEXT_LIMIT = 510;
const UNAVAILABLE = { code: 450, status: "4.7.1", text: "Service unavailable" };

export class Judging {
  readonly facts: SessionFacts;
  readonly memory: PolicyMemory;
  readonly #soft: boolean;
  readonly #logsPermit: (action: string) => boolean;
  /** What the list that runs is about. */
  name = "";
  subject: Subject = "Client host";
  /** How a bare type:table is asked; null: it must not stand there. */
  bare: string | null = null;
  recursion = 0;
  /** Level of the list whose warn_if_reject is in force; 0: none. */
  warning = 0;
  deferIfPermit: Pending | null = null;
  deferIfReject: Pending | null = null;
  /** Addresses that were looked up for this command. */
  readonly resolved = new Map<string, ResolvedAddress | Promise<ResolvedAddress>>();
  /** reject_unlisted_recipient has spoken. */
  recipientListed = false;

  constructor(facts: SessionFacts, memory: PolicyMemory, soft: boolean, logsPermit: (action: string) => boolean) {
    this.facts = facts;
    this.memory = memory;
    this.#soft = soft;
    this.#logsPermit = logsPermit;
  }

  get discarded(): boolean {
    return this.memory.actions.discarded;
  }

  /** Before each list of the command. */
  begin(name: string, subject: Subject, bare: string | null): void {
    this.name = name;
    this.subject = subject;
    this.bare = bare;
    this.recursion = 0;
    this.warning = 0;
    this.deferIfReject = null;
  }

  /** "<name>: Subject rejected: why" */
  refuse(code: number, status: Status, why: string, name = this.name, subject = this.subject): Verdict {
    return this.reject(code, status, `<${name}>: ${subject} rejected: ${why}`);
  }

  reject(code: number, status: Status, text: string, hard = false): Verdict {
    const warnOnly = this.warning > 0 && !hard;
    let refusal = { code, status, text };
    if (code < MIN_CODE || code > MAX_CODE || !/^[245]\.\d{1,3}\.\d{1,3}$/.test(status)) {
      this.warn(`SMTP reply code configuration error: ${code} ${status} ${text}`);
      refusal = UNAVAILABLE;
    }
    const waiting = this.deferIfReject;
    if (!warnOnly && waiting !== null && refusal.code >= 500) {
      this.warning = 0;
      this.deferIfReject = null;
      return this.reject(waiting.code, waiting.status, waiting.text);
    }
    const answer = this.#reply(refusal);
    if (!warnOnly) return answer;
    this.log("reject_warning", `${answer.code} ${answer.status} ${answer.lines[0]}`);
    return "dunno";
  }

  /** The system's own configuration is at fault. */
  serverError(): Verdict {
    const { code, status, lines } = REPLY.serverConfiguration;
    return this.reject(code, status, lines[0] as string, true);
  }

  /** A table of ours could not answer. */
  temporaryFailure(name = this.name): Verdict {
    return this.reject(451, "4.3.0", `<${name}>: Temporary lookup failure`, true);
  }

  /** What would be permitted is put off; with `action` "defer" it is refused at once. */
  putOff(code: number, status: Status, text: string, action: string = "defer_if_permit"): Verdict {
    if (this.warning > 0 || action === "defer") return this.reject(code, status, text);
    this.deferIfPermit ??= { code, status, text };
    return "dunno";
  }

  /** What would be refused for good is put off. */
  spare(code: number, status: Status, text: string): Verdict {
    if (this.warning === 0) this.deferIfReject ??= { code, status, text };
    return "dunno";
  }

  permit(action: string, subject: Subject = this.subject, name = this.name, more = ""): Verdict {
    if (this.deferIfPermit === null && this.#logsPermit(action)) {
      this.log("permit", `action=${action} for ${subject}=${name}${more === "" ? " " : ` ${more}`}`);
    }
    return "permit";
  }

  /** The end of a command's lists: nothing is taken that a failed look-up might have refused. */
  settle(verdict: Verdict): Verdict {
    const pending = this.deferIfPermit;
    if (typeof verdict === "object" || pending === null) return verdict;
    return this.reject(pending.code, pending.status, pending.text);
  }

  /** A line with all that is known of the client and the message. */
  log(what: string, text: string): void {
    const { facts } = this;
    const { protocol, where } = facts.client;
    const from = facts.sender === null ? "" : ` from=<${facts.sender}>`;
    const to = facts.recipient === null ? "" : ` to=<${facts.recipient}>`;
    const greeted = facts.helo === "" ? "" : ` helo=<${facts.helo}>`;
    const id = facts.queueId === "" ? "NOQUEUE" : facts.queueId;
    this.memory.logger.info(
      `${id}: ${what}: ${where} from ${clientOf(facts)}: ${text};${from}${to} proto=${protocol}${greeted}`,
    );
  }

  warn(text: string): void {
    this.memory.logger.warn(text);
  }

  #reply({ code, status, text }: Pending): Reply {
    const words = shown(`${code} ${status} ${text}`.slice(0, TEXT_LIMIT)).slice(`${code} ${status} `.length);
    const fitting = `${String(code)[0]}${status.slice(1)}`;
    const made = reply(code, fitting, words);
    return { ...this.#soft ? softened(made) : made, close: code === 421 || code === 521 };
  }
}

/** What no line may hold becomes a space; UTF-8 stays. */
function shown(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  return text.replace(
    /(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|[\x20-\x7e])+|[^]/g,
    (part) => part.length > 1 || /[\x20-\x7e]/.test(part) ? part : " ",
  );
}
