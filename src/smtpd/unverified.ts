/**
 * reject_unverified_sender and reject_unverified_recipient (ADDRESS_VERIFICATION_README): an address is refused that
 * probes find undeliverable, and put off as long as nothing is known or its mail would have to wait. The client waits
 * for the probe as long as address_verify_poll_count looks with address_verify_poll_delay between them would take.
 */

import type { Config } from "../config/config.ts";
import type { Verified } from "../probe.ts";
import type { Verdict } from "./facts.ts";
import type { Judging } from "./judging.ts";
import { type RestrictionDef, simple, type Who } from "./restriction.ts";

type Whom = "sender" | "recipient";

/** Longest reason of a temporary refusal. */
const REASON_LIMIT = 250;

function verdictOf(judging: Judging, { status, why }: Verified, whom: Whom, who: Who, config: Config): Verdict {
  if (status === "deliverable") return "dunno";
  const known = status === "undeliverable";
  const code = config[`unverified_${whom}_${known ? "reject" : "defer"}_code`];
  const reason = config[`unverified_${whom}_reject_reason`] || why;
  const name = who.name(judging.facts);
  if (code < 400) return "dunno";
  if (code >= 500) {
    const dsn = whom === "sender" ? "5.1.7" : "5.1.1";
    return judging.refuse(code, dsn, `undeliverable address: ${reason}`, name, who.subject);
  }
  const text = `<${name}>: ${who.subject} rejected: unverified address: ${reason.slice(0, REASON_LIMIT)}`;
  return judging.putOff(
    code,
    whom === "sender" ? "4.1.7" : "4.1.1",
    text,
    config[`unverified_${whom}_tempfail_action`],
  );
}

export function unverified(who: Who, whom: Whom): RestrictionDef {
  return simple((judging, services) => {
    const { config, verifier } = services;
    const address = who.value(judging.facts);
    if (address === null) return "dunno";
    if (verifier === undefined) {
      judging.warn("verify service failure");
      const text = `<${who.name(judging.facts)}>: ${who.subject} rejected: address verification problem`;
      const action = config[`unverified_${whom}_tempfail_action`];
      return judging.putOff(450, whom === "sender" ? "4.1.7" : "4.1.1", text, action);
    }
    const within = (config.address_verify_poll_count - 1) * config.address_verify_poll_delay;
    return verifier.wait(address, within).then((found) => verdictOf(judging, found, whom, who, config));
  });
}
