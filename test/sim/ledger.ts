/**
 * What became of every recipient of the simulated world's mail: acknowledged, arrived, told to the sender as
 * undeliverable, told to the postmaster. It reads what the hosts got, and holds the rules of test/sim/README.md against
 * it in the end.
 */

import type { Millis } from "../../src/runtime.ts";
import type { Received } from "./mail-host.ts";
import { Repeats } from "./repeats.ts";

export const POSTMASTER = "postmaster@relay.example";
const DOUBLE_BOUNCE = "double-bounce@relay.example";

export interface SimMail {
  readonly number: number;
  /** "": the null sender. */
  readonly sender: string;
  readonly recipients: readonly string[];
  /** Begins with its number. */
  readonly content: string;
}

/** What must become of a recipient's mail. */
export type Fate = "arrives" | "bounces";

export class Ledger {
  readonly #fate: (mail: SimMail, recipient: string) => Fate;
  readonly #clock: () => Millis;
  readonly mails = new Map<number, SimMail>();
  /** Message number -> when it was acknowledged. */
  readonly acknowledged = new Map<number, Millis>();
  /** "number/recipient" -> when, each time. */
  readonly arrived = new Map<string, Millis[]>();
  readonly #bounced = new Map<string, number>();
  readonly #doubled = new Map<string, number>();
  /** Answers to a message, or to the notice of it, that its client never had. */
  readonly #lostAnswers = new Map<number, number>();
  readonly broken: string[] = [];
  readonly repeats: Repeats = new Repeats((rule) => this.breaks(rule));
  crashes = 0;

  constructor(clock: () => Millis, fate: (mail: SimMail, recipient: string) => Fate) {
    this.#clock = clock;
    this.#fate = fate;
  }

  breaks(rule: string): void {
    if (this.broken.length < 20) this.broken.push(rule);
  }

  /** A host has taken a message. */
  received({ sender, recipients, content, answered }: Received): void {
    const header = content.slice(0, content.indexOf("\r\n\r\n") + 2);
    const number = Number(/^X-Number: (\d+)\r$/m.exec(content)?.[1] ?? NaN);
    const mail = this.mails.get(number);
    if (mail === undefined) return this.breaks(`a message that nobody sent: ${header}`);
    if (!answered) count(this.#lostAnswers, number);
    const isNotice = !header.includes("X-Number:");
    for (const recipient of recipients) {
      if (isNotice) this.#noticed(mail, sender, recipient, content);
      else this.#arrives(mail, sender, recipient, content);
    }
  }

  #arrives(mail: SimMail, sender: string, recipient: string, content: string): void {
    const key = `${mail.number}/${recipient}`;
    if (sender !== mail.sender || !mail.recipients.includes(recipient)) this.breaks(`${key} comes from <${sender}>`);
    if (content !== mail.content) this.breaks(`${key} arrived with another content`);
    const times = this.arrived.get(key);
    if (times === undefined) this.arrived.set(key, [this.#clock()]);
    else times.push(this.#clock());
  }

  #noticed(mail: SimMail, sender: string, recipient: string, content: string): void {
    const named = new Set([...content.matchAll(/^Final-Recipient: rfc822; (\S+)\r$/gm)].map((found) => found[1]!));
    const told = mail.recipients.filter((one) => named.has(one));
    const toSender = recipient === mail.sender && sender === "";
    const toPostmaster = recipient === POSTMASTER && sender === DOUBLE_BOUNCE;
    if (!toSender && !toPostmaster) this.breaks(`a notice of ${mail.number} from <${sender}> to ${recipient}`);
    if (told.length === 0) this.breaks(`a notice of ${mail.number} that names nobody`);
    for (const one of told) count(toSender ? this.#bounced : this.#doubled, `${mail.number}/${one}`);
  }

  /** All is over: holds the rules against what happened. */
  settle(): readonly string[] {
    for (const number of this.acknowledged.keys()) {
      const mail = this.mails.get(number)!;
      for (const recipient of mail.recipients) this.#judge(mail, recipient);
    }
    return this.broken;
  }

  #judge(mail: SimMail, recipient: string): void {
    const key = `${mail.number}/${recipient}`;
    const most = 1 + this.crashes + (this.#lostAnswers.get(mail.number) ?? 0);
    const fate = this.#fate(mail, recipient);
    const orphan = mail.sender === "" || this.#fate(mail, mail.sender) === "bounces";
    const times = {
      arrived: this.arrived.get(key)?.length ?? 0,
      bounced: this.#bounced.get(key) ?? 0,
      doubled: this.#doubled.get(key) ?? 0,
    };
    const wanted = fate === "arrives" ? "arrived" : orphan ? "doubled" : "bounced";
    const told = `arrived ${times.arrived}, bounced ${times.bounced}, to the postmaster ${times.doubled}`;
    const others = Object.entries(times).filter(([what, often]) => what !== wanted && often > 0);
    if (times[wanted] === 0) this.breaks(`${key} should have ${wanted}: ${told}`);
    else if (times[wanted] > most) this.breaks(`${key} ${wanted} more than ${most} times: ${told}`);
    else if (others.length > 0) this.breaks(`${key} should only have ${wanted}: ${told}`);
  }

  /** How many there are of what there should be one of. */
  get copies(): number {
    const extra = (counts: Iterable<number>): number => [...counts].reduce((sum, often) => sum + often - 1, 0);
    const arrived = [...this.arrived.values()].map((times) => times.length);
    return extra(arrived) + extra(this.#bounced.values()) + extra(this.#doubled.values());
  }

  get notices(): number {
    return this.#bounced.size + this.#doubled.size;
  }

  get lostAnswers(): number {
    return [...this.#lostAnswers.values()].reduce((sum, often) => sum + often, 0);
  }

  /** Mean time from acknowledgement to arrival at those recipients. */
  latency(chosen: (recipient: string) => boolean): Millis {
    let [sum, found] = [0, 0];
    for (const [key, [first]] of this.arrived) {
      const slash = key.indexOf("/");
      if (!chosen(key.slice(slash + 1))) continue;
      sum += first! - this.acknowledged.get(Number(key.slice(0, slash)))!;
      found++;
    }
    return found === 0 ? NaN : sum / found;
  }
}

function count<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
