/**
 * What main.cf says about one transport's deliveries, read once: `smtp_destination_concurrency_limit`, or where that is
 * not set `default_destination_concurrency_limit`, and so on for every service of master.cf. A feedback that cannot be
 * used is reported and counts as 1, as in Postfix. And limits that contradict each other.
 */

import type { Config } from "../config/config.ts";
import type { Logger } from "../log.ts";
import { type Feedback, feedbackAt, general, parseFeedback } from "./feedback.ts";
import type { TransportRules } from "./schedule.ts";

type Direction = "positive" | "negative";

const TYPES: Readonly<Record<Feedback["per"], number>> = { one: 0, concurrency: 1, sqrt_concurrency: 2 };

/** Limits that contradict each other are made to agree, with Postfix's words. */
export function agreeing(config: Config, logger: Logger): Config {
  const {
    qmgr_message_recipient_limit: recipients,
    qmgr_message_active_limit: messages,
    bounce_queue_lifetime: ofBounces,
    maximal_queue_lifetime: ofMail,
  } = config;
  const adjusting = (name: string, how: string, other: string): void =>
    logger.warn(`${name} is ${how} than ${other} - adjusting ${name}`);
  if (recipients < messages) adjusting("qmgr_message_recipient_limit", "smaller", "qmgr_message_active_limit");
  if (ofBounces > ofMail) adjusting("bounce_queue_lifetime", "larger", "maximal_queue_lifetime");
  return {
    ...config,
    qmgr_message_recipient_limit: Math.max(recipients, messages),
    bounce_queue_lifetime: Math.min(ofBounces, ofMail),
  };
}

/** Of two limits, of which 0 means none. */
function lesser(one: number, other: number): number {
  return one === 0 || other === 0 ? one + other : Math.min(one, other);
}

/** `logger` is qmgr's. `stalledLimit`: postrider_stalled_delivery_limit, for services that it is meant for. */
export function transportRules(
  name: string,
  processLimit: number,
  config: Config,
  logger: Logger,
  stalledLimit = 0,
): TransportRules {
  const introduction: string[] = [];
  const initial = config.forTransport(name, "initial_destination_concurrency");
  const feedback = (direction: Direction): Feedback => {
    const text = config.forTransport(name, `destination_concurrency_${direction}_feedback`);
    const common = `default_destination_concurrency_${direction}_feedback` as const;
    const origin = text === config[common] ? common : `${name}_destination_concurrency_${direction}_feedback`;
    const parsed = parseFeedback(text);
    if (parsed === null) logger.warn(`${origin}: ignoring malformed or unreasonable feedback: ${text}`);
    const found = parsed ?? { amount: 1, per: "one" } as const;
    const value = `feedback type ${TYPES[found.per]} value at ${initial}: ${general(feedbackAt(found, initial))}`;
    introduction.push(`${name}: ${origin} ${value}`);
    return found;
  };
  return {
    name,
    processLimit,
    stalledLimit,
    introduction,
    recipientLimit: config.forTransport(name, "destination_recipient_limit"),
    retryTime: config.transport_retry_time,
    pause: config.forTransport(name, "transport_rate_delay"),
    destinationLimit: 2 * config.qmgr_message_recipient_limit,
    window: {
      initial,
      limit: lesser(config.forTransport(name, "destination_concurrency_limit"), processLimit),
      positive: feedback("positive"),
      negative: feedback("negative"),
      failedCohortLimit: config.forTransport(name, "destination_concurrency_failed_cohort_limit"),
      rest: config.minimal_backoff_time,
      pause: config.forTransport(name, "destination_rate_delay"),
      debug: config.destination_concurrency_feedback_debug ? (text): void => void logger.info(text) : null,
    },
    slots: {
      cost: config.forTransport(name, "delivery_slot_cost"),
      loan: config.forTransport(name, "delivery_slot_loan"),
      discount: config.forTransport(name, "delivery_slot_discount"),
      minimum: config.forTransport(name, "minimum_delivery_slots"),
    },
  };
}
