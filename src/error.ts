/**
 * The agents that deliver nothing: error(8) returns mail with the next hop as the reason, retry defers it, discard(8)
 * drops it. The reason may begin with a status ("5.1.1 User unknown"). Each answers in a turn of the event loop of its
 * own: others have theirs while a message of thousands of recipients comes to nothing.
 */

import type { DeliveryAgent, DeliveryRequest } from "./agent.ts";
import { withoutControls } from "./latin1.ts";
import type { Clock } from "./runtime.ts";
import { type DeliveryResult, type Outcome, splitStatus, statusOfClass } from "./status.ts";

class FixedAnswer implements DeliveryAgent {
  readonly #clock: Clock;
  readonly #outcome: Outcome;
  readonly #status: string;
  readonly #reason: string;

  constructor(clock: Clock, outcome: Outcome, status: string, reason: string) {
    this.#clock = clock;
    this.#outcome = outcome;
    this.#status = status;
    this.#reason = reason;
  }

  deliver(request: DeliveryRequest): Promise<readonly DeliveryResult[]> {
    const split = splitStatus(request.nexthop === "" ? this.#reason : request.nexthop, this.#status);
    const result: DeliveryResult = {
      outcome: this.#outcome,
      scope: "recipient",
      status: statusOfClass(split.status, this.#outcome),
      // In the queue's list and in notices as in the log.
      reason: withoutControls(split.text),
      remote: null,
      relay: "none",
      connectionUse: 0,
      connectedAt: 0,
    };
    return new Promise((resolve) => this.#clock.soon(() => resolve(request.recipients.map(() => result))));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export function errorAgent(clock: Clock): DeliveryAgent {
  return new FixedAnswer(clock, "bounced", "5.0.0", "Unspecified error");
}

export function retryAgent(clock: Clock): DeliveryAgent {
  return new FixedAnswer(clock, "deferred", "4.0.0", "Unspecified error");
}

export function discardAgent(clock: Clock): DeliveryAgent {
  return new FixedAnswer(clock, "sent", "2.0.0", "discarded");
}
