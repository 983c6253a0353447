/**
 * The command lines of one message for one server. What cannot be sent settles its recipients: a message larger than
 * the server takes (RFC 1870 §6) or of a kind that it does not know (RFC 6531 §3.2), an address that no command can
 * hold.
 */

import type { CommandLine, Extensions } from "./commands.ts";
import { mailCommand, rcptCommand, xforwardCommands } from "./commands.ts";
import type { Delivery } from "./trouble.ts";
import { localTrouble } from "./trouble.ts";

export interface Prepared {
  /** Positions in the request of those in MAIL's transaction. */
  readonly open: readonly number[];
  /** XFORWARD, which goes before MAIL. */
  readonly forward: readonly CommandLine[];
  /** MAIL, then RCPT of each that is open. */
  readonly commands: readonly CommandLine[];
}

/** null: nobody is left to send to. */
export function prepare(
  delivery: Delivery,
  open: readonly number[],
  extensions: Extensions,
  server: string,
  forwards: boolean,
): Prepared | null {
  const { request } = delivery;
  const { envelope, size } = request;
  if (envelope.smtputf8 === "needed" && !extensions.smtputf8) {
    const reason = `SMTPUTF8 is required, but was not offered by host ${server}`;
    delivery.messageFailed(localTrouble("5.6.7", reason));
    return null;
  }
  if (extensions.sizeLimit > 0 && size > extensions.sizeLimit) {
    const reason = `message size ${size} exceeds size limit ${extensions.sizeLimit} of server ${server}`;
    delivery.messageFailed(localTrouble("5.3.4", reason));
    return null;
  }
  const commands: CommandLine[] = [];
  try {
    commands.push(mailCommand(envelope, size, extensions));
  } catch {
    delivery.messageFailed(localTrouble("5.1.7", "bad sender address syntax"));
    return null;
  }
  const left = open.filter((at) => {
    const recipient = request.recipients[at];
    if (recipient === undefined) return false;
    try {
      commands.push(rcptCommand(recipient, extensions));
      return true;
    } catch {
      delivery.recipientFailed(at, localTrouble("5.1.3", "bad recipient address syntax"));
      return false;
    }
  });
  if (left.length === 0) return null;
  return { open: left, commands, forward: forwards ? xforwardCommands(request, extensions) : [] };
}
