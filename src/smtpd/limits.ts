/**
 * What one session may do wrong (postconf(5): smtpd_soft_error_limit, smtpd_hard_error_limit, smtpd_error_sleep_time,
 * smtpd_junk_command_limit), and the counts of its disconnect line.
 */

import type { Config } from "../config/config.ts";
import type { Millis } from "../runtime.ts";

type LimitParameters = Pick<
  Config,
  "smtpd_soft_error_limit" | "smtpd_hard_error_limit" | "smtpd_error_sleep_time" | "smtpd_junk_command_limit"
>;

export class SessionErrors {
  readonly #config: LimitParameters;
  readonly #counts = new Map<string, { good: number; all: number }>();
  #errors = 0;
  #junk = 0;

  constructor(config: LimitParameters) {
    this.#config = config;
  }

  /** The session must end. */
  get hopeless(): boolean {
    return this.#errors >= this.#config.smtpd_hard_error_limit;
  }

  /** How long the next reply waits. */
  get delay(): Millis {
    return this.#errors >= this.#config.smtpd_soft_error_limit ? this.#config.smtpd_error_sleep_time : 0;
  }

  /** `verb`: upper case, or "unknown". */
  count(verb: string, error: boolean, junk: boolean): void {
    const counts = this.#countsOf(verb);
    counts.all++;
    if (!error) counts.good++;
    if (error || (junk && this.#junk++ > this.#config.smtpd_junk_command_limit)) this.#errors++;
  }

  /** A command that is neither good nor an error. */
  countOnly(verb: string): void {
    this.#countsOf(verb).all++;
  }

  #countsOf(verb: string): { good: number; all: number } {
    const known = this.#counts.get(verb);
    if (known !== undefined) return known;
    const counts = { good: 0, all: 0 };
    this.#counts.set(verb, counts);
    return counts;
  }

  /** A message that was taken makes up for errors and junk commands, as in smtpd(8). */
  forgive(): void {
    this.#errors = 0;
    this.#junk = 0;
  }

  /** " ehlo=1 mail=1 rcpt=0/1 commands=2/3" */
  summary(order: readonly string[]): string {
    let text = "";
    let good = 0;
    let all = 0;
    for (const verb of [...order, "unknown"]) {
      const counts = this.#counts.get(verb);
      if (counts === undefined) continue;
      good += counts.good;
      all += counts.all;
      text += ` ${verb.toLowerCase()}=${fraction(counts.good, counts.all)}`;
    }
    return `${text} commands=${fraction(good, all)}`;
  }
}

function fraction(good: number, all: number): string {
  return good === all && all > 0 ? String(all) : `${good}/${all}`;
}
