/**
 * When mail is tried again and when it is given up (BEHAVIOUR 9, 10; postconf(5)). Pure: times in, times out.
 * The wait grows with the message's age, so it doubles about every attempt until maximal_backoff_time.
 */

import type { Config } from "../config/config.ts";
import type { Millis } from "../runtime.ts";

export type BackoffParameters = Pick<
  Config,
  | "minimal_backoff_time"
  | "maximal_backoff_time"
  | "maximal_queue_lifetime"
  | "bounce_queue_lifetime"
  | "delay_warning_time"
>;

/** When a message that was deferred now is due again. Where the bounds contradict each other, the lower one holds. */
export function dueAgain(arrived: Millis, now: Millis, config: BackoffParameters): Millis {
  const age = Math.max(0, now - arrived);
  return now + Math.max(config.minimal_backoff_time, Math.min(age, config.maximal_backoff_time));
}

/** A bounce (null sender) has a lifetime of its own. */
export function isExpired(sender: string, arrived: Millis, now: Millis, config: BackoffParameters): boolean {
  return now - arrived >= (sender === "" ? config.bounce_queue_lifetime : config.maximal_queue_lifetime);
}

/** The sender, if there is one, is to be told of the delay (delay_warning_time; 0: never). */
export function isLate(sender: string, arrived: Millis, now: Millis, config: BackoffParameters): boolean {
  return sender !== "" && config.delay_warning_time > 0 && now - arrived >= config.delay_warning_time;
}
