/**
 * MAIL FROM and RCPT TO as values (RFC 5321 §4.1.1.2-3, RFC 1870, RFC 6152, RFC 3461): address and parameters, or the
 * reply that refuses them. No I/O.
 */

import { decodeUxtext, decodeXtext } from "../address.ts";
import type { Notify } from "../envelope.ts";
import { REPLY, type Reply } from "../reply.ts";
import type { Word } from "./engine/commands.ts";
import { type EnvelopeAddress, parseEnvelopeAddress } from "./envelope-address.ts";
import { after } from "./facts.ts";

export interface MailCommand {
  readonly sender: string;
  readonly encoding: "7bit" | "8bit" | "";
  /** SIZE= in bytes, 0 when not given. */
  readonly size: number;
  readonly ret: "full" | "hdrs" | "";
  readonly envid: string;
  /** RFC 6531 SMTPUTF8 */
  readonly smtputf8: boolean;
}

export interface RcptCommand {
  readonly recipient: string;
  readonly originalRecipient: string;
  readonly notify: Notify;
}

export interface Refusal {
  readonly refused: Reply;
  /** Postfix warns "Illegal address syntax" for these. */
  readonly illegalAddress: boolean;
}

export interface SyntaxOptions {
  /** strict_rfc821_envelopes */
  readonly strict: boolean;
  /** DSN is among smtpd_discard_ehlo_keywords. */
  readonly noDsn: boolean;
  /** smtputf8_enable: SMTPUTF8 is known; "strict" (strict_smtputf8): addresses need it. */
  readonly utf8: "no" | "yes" | "strict";
}

const isUtf8Option = ({ text }: Word): boolean => text.toUpperCase() === "SMTPUTF8";

/** Whether the address needs SMTPUTF8, which the client has not `declared`. */
export function isUndeclared(address: string, options: SyntaxOptions, declared: boolean): boolean {
  return !declared && options.utf8 === "strict" && /[\x80-\xff]/.test(address);
}

const refuse = (refused: Reply, illegalAddress = false): Refusal => ({ refused, illegalAddress });

export function isRefusal<T extends object>(value: T | Refusal): value is Refusal {
  return "refused" in value;
}

/** What must come right after MAIL or RCPT. */
function hasForm(words: readonly Word[], keyword: string): boolean {
  return words.length >= 3 && words[1]?.text.toLowerCase() === keyword;
}

/** No file can have so many bytes: off_t. */
const OFFSETS = 2n ** 63n;

function isOffset(digits: string): boolean {
  return BigInt(digits) < OFFSETS;
}

/** Whether the resolver can make something of an address; `unicode`: its domain may be an internationalised one. */
export type Resolves = (address: string, unicode: boolean) => boolean | Promise<boolean>;

function named<T>(
  address: EnvelopeAddress | null,
  bad: Reply,
  resolves: Resolves,
  unicode: boolean,
  next: (address: string) => T | Refusal,
): T | Refusal | Promise<T | Refusal> {
  if (address === null) return refuse(bad, true);
  const known = address.plain || resolves(address.address, unicode);
  return after(known, (good) => good ? next(address.address) : refuse(bad, true));
}

export function parseMail(
  words: readonly Word[],
  options: SyntaxOptions,
  resolves: Resolves = () => true,
): MailCommand | Refusal | Promise<MailCommand | Refusal> {
  if (!hasForm(words, "from:")) return refuse(REPLY.mailSyntax);
  const word = words[2] as Word;
  if (word.bad) return refuse(REPLY.badSender);
  const smtputf8 = options.utf8 !== "no" && words.slice(3).some(isUtf8Option);
  const parsed = parseEnvelopeAddress(word.text, options.strict);
  return named(parsed, REPLY.badSender, resolves, smtputf8, (sender): MailCommand | Refusal => {
    let command: MailCommand = { sender, encoding: "", size: 0, ret: "", envid: "", smtputf8 };
    let identity = "";
    for (const { text } of words.slice(3)) {
      if (/^auth=/i.test(text)) {
        // RFC 4954 §5: without SASL the identity counts for nothing.
        if (identity !== "") return refuse(REPLY.multipleAuth);
        if (text.slice(5) !== "<>") identity = text;
        continue;
      }
      const changed = mailOption(command, text, options);
      if (isRefusal(changed)) return changed;
      command = changed;
    }
    return { ...command, envid: command.envid.trimEnd() };
  });
}

function mailOption(command: MailCommand, text: string, options: SyntaxOptions): MailCommand | Refusal {
  const upper = text.toUpperCase();
  const value = text.slice(text.indexOf("=") + 1);
  if (upper === "BODY=8BITMIME") return { ...command, encoding: "8bit" };
  if (upper === "SMTPUTF8" && options.utf8 !== "no") return command;
  if (upper === "BODY=7BIT") return { ...command, encoding: "7bit" };
  if (upper.startsWith("SIZE=")) {
    if (!/^\d+$/.test(value)) return refuse(REPLY.badSize);
    return isOffset(value) ? { ...command, size: Number(value) } : refuse(REPLY.sizeOverflow);
  }
  if (options.noDsn && /^(?:ENVID|RET)=/.test(upper)) return refuse(REPLY.dsnDisabled);
  if (upper.startsWith("ENVID=")) {
    const envid = decodeXtext(value);
    const good = command.envid === "" && envid !== null && /^[\x20-\x7e]+$/.test(envid);
    return good ? { ...command, envid } : refuse(REPLY.badEnvid);
  }
  if (upper.startsWith("RET=")) {
    const ret = upper === "RET=FULL" ? "full" : upper === "RET=HDRS" ? "hdrs" : "";
    return command.ret !== "" || ret === "" ? refuse(REPLY.badRet) : { ...command, ret };
  }
  return refuse(REPLY.unsupportedOption(text));
}

/** `declared`: MAIL had SMTPUTF8. */
export function parseRcpt(
  words: readonly Word[],
  options: SyntaxOptions,
  declared = false,
  resolves: Resolves = () => true,
): RcptCommand | Refusal | Promise<RcptCommand | Refusal> {
  if (!hasForm(words, "to:")) return refuse(REPLY.recipientSyntax);
  const word = words[2] as Word;
  if (word.bad) return refuse(REPLY.badRecipient);
  const parsed = parseEnvelopeAddress(word.text, options.strict);
  if (parsed?.address === "") return refuse(REPLY.badRecipient, true);
  return named(parsed, REPLY.badRecipient, resolves, declared, (recipient): RcptCommand | Refusal => {
    let command: RcptCommand = { recipient, originalRecipient: "", notify: [] };
    for (const { text } of words.slice(3)) {
      const changed = rcptOption(command, text, options);
      if (isRefusal(changed)) return changed;
      command = changed;
    }
    if (isUndeclared(command.recipient, options, declared)) return refuse(REPLY.mustDeclareUtf8);
    const given = command.originalRecipient === "" ? asGiven(word.text, command, parsed?.plain === true) : "";
    return given === "" ? command : { ...command, originalRecipient: given };
  });
}

/** The address of VRFY, which no option of strictness holds for. */
export function parseVerify(
  text: string,
  options: SyntaxOptions,
  declared: boolean,
  resolves: Resolves = () => true,
): string | Refusal | Promise<string | Refusal> {
  const parsed = parseEnvelopeAddress(text, false);
  if (parsed?.address === "") return refuse(REPLY.badRecipient, true);
  return named(
    parsed,
    REPLY.badRecipient,
    resolves,
    declared,
    (address) => isUndeclared(address, options, declared) ? refuse(REPLY.mustDeclareUtf8) : address,
  );
}

/** Notices name a recipient as the client wrote it (RFC 3461 §5.2.2 c), where the address may turn out another. */
function asGiven(text: string, { recipient }: RcptCommand, plain: boolean): string {
  const given = text.startsWith("<") && text.endsWith(">") ? text.slice(1, -1) : text;
  return plain && given === recipient ? "" : original("rfc822", given);
}

/** As Postfix's queue files keep it. */
function original(type: string, address: string): string {
  return `${type};${address.split("\0", 1)[0]}`.trimEnd();
}

function rcptOption(command: RcptCommand, text: string, options: SyntaxOptions): RcptCommand | Refusal {
  const upper = text.toUpperCase();
  const value = text.slice(text.indexOf("=") + 1);
  if (options.noDsn && /^(?:NOTIFY|ORCPT)=/.test(upper)) return refuse(REPLY.dsnDisabled);
  if (upper.startsWith("NOTIFY=")) {
    const notify = parseNotify(value);
    return notify === null || command.notify.length > 0 ? refuse(REPLY.badNotify) : { ...command, notify };
  }
  if (upper.startsWith("ORCPT=")) {
    const split = value.indexOf(";");
    const given = value.slice(split + 1);
    const decoded = upper.startsWith("ORCPT=UTF-8;") ? decodeUxtext(given) : decodeXtext(given);
    if (split <= 0 || decoded === null || command.originalRecipient !== "") return refuse(REPLY.badOrcpt);
    return { ...command, originalRecipient: original(value.slice(0, split), decoded) };
  }
  return refuse(REPLY.unsupportedOption(text));
}

/** RFC 3461 §4.1: NEVER stands alone. Commas may be too many. */
export function parseNotify(value: string): Notify | null {
  const words = value.toLowerCase().split(",").filter((word) => word !== "");
  const known = ["never", "success", "failure", "delay"] as const;
  const notify: (typeof known)[number][] = [];
  for (const word of words) {
    const found = known.find((name) => name === word);
    if (found === undefined) return null;
    if (!notify.includes(found)) notify.push(found);
  }
  return notify.length === 0 || (notify.includes("never") && notify.length > 1) ? null : notify;
}

/** `BDAT count [LAST]`; null when it is malformed. */
export function parseBdat(words: readonly Word[]): { readonly bytes: number; readonly last: boolean } | null {
  const count = words[1]?.text ?? "";
  const last = words.length === 3;
  if (words.length < 2 || words.length > 3 || !/^\d+$/.test(count) || !isOffset(count)) return null;
  if (last && words[2]?.text.toUpperCase() !== "LAST") return null;
  return { bytes: Number(count), last };
}
