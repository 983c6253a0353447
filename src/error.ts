/**
 * The agents that deliver nothing: error(8) returns mail with the next hop as the reason, retry defers it, discard(8)
 * drops it. The reason may begin with a status ("5.1.1 User unknown").
 */

import type { DeliveryAgent, DeliveryRequest } from "./agent.ts";
import { type DeliveryResult, type Outcome, splitStatus, statusOfClass } from "./status.ts";

/** In the queue's list and in notices as in the log. */
// deno-lint-ignore no-control-regex
const CONTROLS = /[\x00-\x1f\x7f]/g;

class FixedAnswer implements DeliveryAgent {
  readonly #outcome: Outcome;
  readonly #status: string;
  readonly #reason: string;

  constructor(outcome: Outcome, status: string, reason: string) {
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
      reason: split.text.replace(CONTROLS, "?"),
      remote: null,
      relay: "none",
      connectionUse: 0,
      connectedAt: 0,
    };
    return Promise.resolve(request.recipients.map(() => result));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export function errorAgent(): DeliveryAgent {
  return new FixedAnswer("bounced", "5.0.0", "Unspecified error");
}

export function retryAgent(): DeliveryAgent {
  return new FixedAnswer("deferred", "4.0.0", "Unspecified error");
}

export function discardAgent(): DeliveryAgent {
  return new FixedAnswer("sent", "2.0.0", "discarded");
}
