/**
 * What a header_checks(5) or body_checks(5) table says is to be done, and what it comes to for the message:
 *   checking --REJECT, DISCARD--> stopped: the rest is neither looked at nor kept
 *            --PASS, REDIRECT--> passed: the rest is kept unseen
 * Log lines and warnings are Postfix's. Never fails: what cannot be understood is warned about and changes nothing.
 */

import { headerNameLength } from "../header.ts";
import { latin1Encode } from "../latin1.ts";
import type { Logger } from "../log.ts";
import { type Reply, reply } from "../reply.ts";
import { splitStatus } from "../status.ts";
import type { CheckName } from "./checks.ts";

/** What becomes of a header or line. */
export type Edit =
  | { readonly kind: "keep" }
  | { readonly kind: "drop" }
  | { readonly kind: "prepend"; readonly text: string }
  | { readonly kind: "replace"; readonly text: string };

/** Who sent the message to whom, for log lines. */
export interface LogFacts {
  readonly id: string;
  /** "host[address]", or "local". */
  readonly origin: string;
  readonly sender: string;
  /** The last one; null: none yet. */
  readonly recipient: string | null;
  /** "" when it did not come by SMTP. */
  readonly protocol: string;
  readonly helo: string;
}

const KEEP: Edit = { kind: "keep" };
const DROP: Edit = { kind: "drop" };
const REJECTED = { status: "5.7.1", text: "message content rejected" };
const LOGGED_CONTENT = 200;

/** One action: what stands behind its name, the text it is about. */
interface Call {
  readonly argument: string;
  readonly content: string;
  readonly context: "header" | "body";
  readonly map: CheckName;
}

export class Actions {
  readonly #logger: Logger;
  readonly #facts: LogFacts;
  checking = true;
  stopped = false;
  refused: Reply | null = null;
  discarded = false;
  held = false;
  filter: string | null = null;
  redirect: string | null = null;
  readonly copies: string[] = [];

  constructor(logger: Logger, facts: LogFacts) {
    this.#logger = logger;
    this.#facts = facts;
  }

  /** `value` is what the table says of the content. */
  act(context: "header" | "body", content: string, value: string, map: CheckName): Edit {
    const name = /^[^ \t]*/.exec(value)![0];
    const argument = value.slice(name.length).replace(/^[ \t\r\n\v\f]+/, "");
    const action = ACTIONS[name.toUpperCase()];
    if (action === undefined || name === "") {
      this.warn(`unknown command in ${map} map: ${value}`);
      return KEEP;
    }
    return action(this, { argument, content, context, map });
  }

  /** MIME that cannot be accepted: told once for each kind. */
  malformed(error: string, text: string): void {
    const { id, origin, sender, recipient } = this.#facts;
    this.#logger.info(
      `${id}: reject: mime-error ${error}: ${text} from ${origin}; from=<${sender}> to=<${recipient ?? "unknown"}>`,
    );
  }

  log(action: string, call: Call, text: string): void {
    const { id, origin, sender, recipient, protocol, helo } = this.#facts;
    this.#logger.info(
      `${id}: ${action}: ${call.context} ${call.content.slice(0, LOGGED_CONTENT)} from ${origin}; from=<${sender}>` +
        (recipient === null ? "" : ` to=<${recipient}>`) + (protocol === "" ? "" : ` proto=${protocol}`) +
        (helo === "" ? "" : ` helo=<${helo}>`) + (text === "" ? "" : `: ${text}`),
    );
  }

  warn(text: string): void {
    this.#logger.warn(text);
  }
}

/** "5.7.1 text" as the reply to the client; a text without a status has Postfix's. */
function refusal(argument: string, warn: (text: string) => void): Reply {
  const { status, text } = splitStatus(argument, REJECTED.status);
  if (argument === "" || status.startsWith("5")) return reply(550, status, argument === "" ? REJECTED.text : text);
  if (!status.startsWith("4")) warn(`bad DSN action in ${argument} -- need 4.x.x or 5.x.x`);
  return reply(451, `4${status.slice(1)}`, text);
}

/** A line put before or in place of the matched one: a header where headers stand. */
function line(kind: "prepend" | "replace", actions: Actions, call: Call): Edit {
  const { argument, context, map } = call;
  const name = kind.toUpperCase();
  const text = latin1Encode(argument);
  if (argument === "") actions.warn(`${name} action without text in ${map} map`);
  else if (context === "header" && headerNameLength(text, 0, text.length) === 0) {
    actions.warn(`bad ${name} header text "${argument}" in ${map} map -- need "headername: headervalue"`);
  } else {
    actions.log(kind, call, argument);
    return { kind, text: argument };
  }
  return KEEP;
}

function logged(action: string): (actions: Actions, call: Call) => Edit {
  return (actions, call) => {
    actions.log(action, call, call.argument);
    return KEEP;
  };
}

const ACTIONS: Readonly<Record<string, (actions: Actions, call: Call) => Edit>> = {
  __proto__: null as never,
  REJECT(actions, call) {
    actions.refused = refusal(call.argument, (text) => actions.warn(text));
    actions.checking = false;
    actions.stopped = true;
    actions.log("reject", call, `${actions.refused.status} ${actions.refused.lines[0]}`);
    return KEEP;
  },
  DISCARD(actions, call) {
    actions.log("discard", call, call.argument);
    actions.discarded = true;
    actions.checking = false;
    actions.stopped = true;
    return KEEP;
  },
  HOLD(actions, call) {
    if (!actions.held && !actions.discarded) actions.log("hold", call, call.argument);
    actions.held = true;
    return KEEP;
  },
  PASS(actions, call) {
    actions.log("pass", call, call.argument);
    actions.checking = false;
    return KEEP;
  },
  WARN: logged("warning"),
  INFO: logged("info"),
  IGNORE: () => DROP,
  STRIP(actions, call) {
    actions.log("strip", call, call.argument);
    return DROP;
  },
  PREPEND: (actions, call) => line("prepend", actions, call),
  REPLACE: (actions, call) => line("replace", actions, call),
  FILTER(actions, call) {
    const { argument, map } = call;
    if (argument === "") actions.warn(`missing FILTER command argument in ${map} map`);
    else if (!argument.includes(":")) {
      actions.warn(`bad FILTER command ${argument} in ${map} -- need transport:destination`);
    } else {
      actions.filter = argument;
      actions.log("filter", call, argument);
    }
    return KEEP;
  },
  REDIRECT(actions, call) {
    const { argument, map } = call;
    if (!argument.includes("@")) {
      actions.warn(`bad REDIRECT target "${argument}" in ${map} map -- need user@domain`);
    } else {
      actions.redirect = argument;
      actions.checking = false;
      actions.log("redirect", call, argument);
    }
    return KEEP;
  },
  BCC(actions, call) {
    const { argument, map } = call;
    if (!argument.includes("@")) {
      actions.warn(`bad BCC address "${argument}" in ${map} map -- need user@domain`);
    } else {
      actions.copies.push(argument);
      actions.log("bcc", call, argument);
    }
    return KEEP;
  },
  DUNNO: () => KEEP,
  OK: () => KEEP,
};
