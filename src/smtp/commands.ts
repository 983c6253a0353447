/**
 * The client's command lines. A CommandLine can only be made by commandLine(), which refuses CR, LF and NUL: nothing
 * from an envelope or the configuration can add a command of its own (RFC 5321 §4.1.1, §2.3.8).
 * Throws RangeError for such text.
 */

import { encodeUxtext, encodeXtext, quoteLocal, splitAddress } from "../address.ts";
import type { DeliveryRequest } from "../agent.ts";
import type { Envelope, Recipient } from "../envelope.ts";
import { unquoted } from "../trivial-rewrite/tokens.ts";
import { announcedNames, knownAttributes, xforwardValues } from "../xforward.ts";

declare const checked: unique symbol;
/** One command with its CRLF. */
export type CommandLine = string & { readonly [checked]: true };

export function commandLine(text: string): CommandLine {
  // deno-lint-ignore no-control-regex
  if (/[\r\n\0]/.test(text)) throw new RangeError("a command holds CR, LF or NUL");
  return text + "\r\n" as CommandLine;
}

/** What the server announced, as far as commands depend on it. */
export interface Extensions {
  readonly pipelining: boolean;
  readonly eightBitMime: boolean;
  readonly dsn: boolean;
  readonly smtputf8: boolean;
  readonly size: boolean;
  /** Octets; 0: no limit is known. */
  readonly sizeLimit: number;
  /** Attributes of XFORWARD. */
  readonly xforward: ReadonlySet<string>;
}

export const NO_EXTENSIONS: Extensions = {
  pipelining: false,
  eightBitMime: false,
  dsn: false,
  smtputf8: false,
  size: false,
  sizeLimit: 0,
  xforward: new Set(),
};

/** From the lines of the reply to EHLO (RFC 5321 §4.1.1.1); `discard` names keywords to overlook, in lower case. */
export function extensionsOf(lines: readonly string[], discard: readonly string[]): Extensions {
  const found = { ...NO_EXTENSIONS };
  for (const line of lines.slice(1)) {
    const [keyword = "", value = "", ...more] = line.slice(4).trim().split(/\s+/);
    if (discard.includes(keyword.toLowerCase())) continue;
    switch (keyword.toUpperCase()) {
      case "PIPELINING":
        found.pipelining = true;
        break;
      case "8BITMIME":
        found.eightBitMime = true;
        break;
      case "DSN":
        found.dsn = true;
        break;
      case "XFORWARD":
        found.xforward = announcedNames([value, ...more]);
        break;
      case "SMTPUTF8":
        found.smtputf8 = true;
        break;
      case "SIZE":
        found.size = true;
        found.sizeLimit = /^\d{1,18}$/.test(value) ? Number(value) : 0;
        break;
    }
  }
  return found;
}

/** RFC 5321 §4.1.2 without source routes: what looks like one is of the local part. */
function pathOf(address: string): string {
  if (!address.startsWith("@")) return address;
  const { local, domain } = splitAddress(unquoted(address));
  return `${quoteLocal(local)}@${domain}`;
}

/** RFC 5321 §4.1.1.2; SIZE: RFC 1870 §6, BODY: RFC 6152 §3, RET and ENVID: RFC 3461 §4.3, §4.4. */
export function mailCommand(envelope: Omit<Envelope, "recipients">, size: number, peer: Extensions): CommandLine {
  let line = `MAIL FROM:<${pathOf(envelope.sender)}>`;
  if (peer.size) line += ` SIZE=${size}`;
  if (peer.eightBitMime && envelope.encoding !== "") {
    line += envelope.encoding === "8bit" ? " BODY=8BITMIME" : " BODY=7BIT";
  }
  if (peer.dsn) {
    if (envelope.envid !== "") line += ` ENVID=${encodeXtext(envelope.envid)}`;
    if (envelope.ret !== "") line += ` RET=${envelope.ret.toUpperCase()}`;
  }
  // RFC 6531 §3.4
  if (peer.smtputf8 && envelope.smtputf8 !== undefined) line += " SMTPUTF8";
  return commandLine(line);
}

/** In two commands, as Postfix has them: who the client is, then what it said. */
export function xforwardCommands({ envelope, queueId }: DeliveryRequest, peer: Extensions): CommandLine[] {
  const { client } = envelope;
  const values = xforwardValues(client, client.name === "" && client.address === "" ? "" : queueId);
  return ([["NAME", "ADDR", "PORT"], ["PROTO", "HELO", "IDENT", "SOURCE"]] as const).flatMap((names) => {
    const line = knownAttributes(names, values, peer.xforward);
    return line === "" ? [] : [commandLine(line)];
  });
}

/** RFC 3461 §4.2; RFC 6533 §3 for addresses that are not ASCII. */
function orcpt(type: string, address: string): string {
  const encoded = type.toLowerCase() === "utf-8" ? encodeUxtext(address) : encodeXtext(address);
  return ` ORCPT=${type};${encoded}`;
}

/** RFC 5321 §4.1.1.3; ORCPT and NOTIFY: RFC 3461 §4.1, §4.2. */
export function rcptCommand(recipient: Recipient, peer: Extensions): CommandLine {
  let line = `RCPT TO:<${pathOf(recipient.address)}>`;
  if (peer.dsn) {
    const given = recipient.originalRecipient;
    const separator = given.indexOf(";");
    if (separator > 0) line += orcpt(given.slice(0, separator), given.slice(separator + 1));
    else line += orcpt("rfc822", recipient.original === "" ? recipient.address : recipient.original);
    if (recipient.notify.length > 0) line += ` NOTIFY=${recipient.notify.join(",").toUpperCase()}`;
  }
  return commandLine(line);
}
