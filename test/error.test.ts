import assert from "node:assert/strict";
import { test } from "node:test";
import { currentRuntime } from "../runtimes/select.ts";
import type { DeliveryRequest } from "../src/agent.ts";
import { plainRecipient } from "../src/envelope.ts";
import { discardAgent, errorAgent, retryAgent } from "../src/error.ts";

const { clock } = await currentRuntime();
const request = (nexthop: string): DeliveryRequest =>
  ({ nexthop, recipients: [plainRecipient("a@b.example")] }) as unknown as DeliveryRequest;

for (
  const [name, agent, nexthop, outcome, status, reason] of [
    ["error", errorAgent(clock), "5.1.1 User unknown", "bounced", "5.1.1", "User unknown"],
    ["error without a status", errorAgent(clock), "no such place", "bounced", "5.0.0", "no such place"],
    ["error without words", errorAgent(clock), "", "bounced", "5.0.0", "Unspecified error"],
    ["error with control characters", errorAgent(clock), "5.1.1 a\tb\x1b", "bounced", "5.1.1", "a?b?"],
    ["retry makes the status temporary", retryAgent(clock), "5.3.0 later", "deferred", "4.3.0", "later"],
    ["discard", discardAgent(clock), "", "sent", "2.0.0", "discarded"],
  ] as const
) {
  test(name, async () => {
    const [result] = await agent.deliver(request(nexthop), new AbortController().signal, () => null);
    const got = [result!.outcome, result!.status, result!.reason, result!.relay];
    assert.deepEqual(got, [outcome, status, reason, "none"]);
  });
}
