/**
 * Warnings that mail for one destination fills the active queue (qmgr_clog_warn_time, helpful_warnings), in Postfix's
 * words. Pure.
 */

export interface Clogged {
  readonly transport: string;
  readonly nexthop: string;
  /** Deliveries to the destination that wait or are under way. */
  readonly deliveries: number;
  readonly busy: number;
  readonly window: number;
  /** destination_concurrency_limit; 0: none. */
  readonly limit: number;
  /** The transport has other destinations too. */
  readonly others: boolean;
  /** Messages in the active queue, and how many there may be. */
  readonly active: number;
  readonly activeLimit: number;
}

/** More than that part of the active queue's places. */
export function isClogging(deliveries: number, activeLimit: number): boolean {
  return deliveries > Math.floor(activeLimit / 5);
}

export function clogWarnings(clogged: Clogged): readonly string[] {
  const { nexthop, deliveries, active } = clogged;
  return [
    `mail for ${nexthop} is using up ${deliveries} of ${active} active queue entries`,
    ...deliveries / active < 0.9 ? ["this may slow down other mail deliveries"] : [],
    ...advice(clogged),
    "please avoid flushing the whole queue when you have",
    "lots of deferred mail, that is bad for performance",
    "to turn off these warnings specify: qmgr_clog_warn_time = 0",
  ];
}

function advice({ transport, nexthop, deliveries, busy, window, limit, others, active, activeLimit }: Clogged) {
  if (limit > 0 && limit <= busy + 1) {
    return [`you may need to increase the main.cf ${transport}_destination_concurrency_limit from ${limit}`];
  }
  if (window > activeLimit * deliveries / active) {
    return [`you may need to increase the main.cf qmgr_message_active_limit from ${activeLimit}`];
  }
  if (others) return [`you may need a separate master.cf transport for ${nexthop}`];
  return [
    `you may need to reduce ${transport} connect and helo timeouts`,
    "so that Postfix quickly skips unavailable hosts",
    "you may need to increase the main.cf minimal_backoff_time and maximal_backoff_time",
    "so that Postfix wastes less time on undeliverable mail",
    `you may need to increase the master.cf ${transport} process limit`,
  ];
}
