/**
 * Every SMTP reply as a value. Texts and codes are Postfix's (smtpd(8)); RFC 5321 §4.2, RFC 2034.
 * A reply is built once and written by replyText(), the only place that puts a reply on the wire: it lets no control
 * character through.
 */

import { withoutControls } from "./latin1.ts";
import type { Status } from "./status.ts";

export interface Reply {
  readonly code: number;
  /** Enhanced status code; "" where Postfix sends none (greeting, HELO, EHLO, 354). */
  readonly status: Status;
  /** One text a line; more than one makes a multi-line reply (the status is repeated on each). */
  readonly lines: readonly string[];
  /** The session ends after this reply. */
  readonly close: boolean;
}

export function reply(code: number, status: Status, ...lines: readonly string[]): Reply {
  return { code, status, lines, close: code === 421 || code === 221 };
}

export function replyText(value: Reply): string {
  const status = value.status === "" ? "" : `${value.status} `;
  if (value.lines.length === 1) return withoutControls(`${value.code} ${status}${value.lines[0]}`) + "\r\n";
  let text = "";
  value.lines.forEach((line, at) => {
    text += withoutControls(`${value.code}${at < value.lines.length - 1 ? "-" : " "}${status}${line}`) + "\r\n";
  });
  return text;
}

/** As it stands in the log: "450 4.1.8 <x>: …". */
export function replyLine(value: Reply): string {
  return `${value.code} ${value.status === "" ? "" : `${value.status} `}${value.lines.join(" ")}`;
}

/** soft_bounce = yes: a permanent answer becomes a temporary one. */
export function softened(value: Reply): Reply {
  if (value.code < 500) return value;
  return { ...value, code: value.code - 100, status: value.status.replace(/^5/, "4") };
}

export const REPLY = {
  ok: reply(250, "2.0.0", "Ok"),
  senderOk: reply(250, "2.1.0", "Ok"),
  recipientOk: reply(250, "2.1.5", "Ok"),
  startData: reply(354, "", "End data with <CR><LF>.<CR><LF>"),
  queued: (id: string): Reply => reply(250, "2.0.0", `Ok: queued as ${id}`),
  chunksQueued: (bytes: number, id: string): Reply => reply(250, "2.0.0", `Ok: ${bytes} bytes queued as ${id}`),
  chunkDiscarded: (bytes: number): Reply => reply(551, "5.0.0", `Discarded ${bytes} bytes after earlier error`),
  chunkTooBig: reply(552, "5.3.4", "Chunk exceeds message size limit"),
  chunkOk: (bytes: number): Reply => reply(250, "2.0.0", `Ok: ${bytes} bytes`),
  bye: reply(221, "2.0.0", "Bye"),
  canBreakRulesToo: reply(221, "2.7.0", "Error: I can break rules, too. Goodbye."),
  verify: (address: string): Reply => reply(252, "2.0.0", address),

  heloSyntax: reply(501, "", "Syntax: HELO hostname"),
  ehloSyntax: reply(501, "", "Syntax: EHLO hostname"),
  sendHelloFirst: reply(503, "5.5.1", "Error: send HELO/EHLO first"),
  nestedMail: reply(503, "5.5.1", "Error: nested MAIL command"),
  mailSyntax: reply(501, "5.5.4", "Syntax: MAIL FROM:<address>"),
  badSender: reply(501, "5.1.7", "Bad sender address syntax"),
  badSize: reply(501, "5.5.4", "Bad message size syntax"),
  sizeOverflow: reply(552, "5.3.4", "Message size exceeds file system imposed limit"),
  tooBig: reply(552, "5.3.4", "Message size exceeds fixed limit"),
  noSpace: reply(452, "4.3.1", "Insufficient system storage"),
  badEnvid: reply(501, "5.5.4", "Bad ENVID parameter syntax"),
  badRet: reply(501, "5.5.4", "Bad RET parameter syntax"),
  multipleAuth: reply(503, "5.5.4", "Error: multiple AUTH= options"),
  dsnDisabled: reply(501, "5.7.1", "DSN support is disabled"),
  unsupportedOption: (option: string): Reply => reply(555, "5.5.4", `Unsupported option: ${option}`),
  needMail: reply(503, "5.5.1", "Error: need MAIL command"),
  recipientSyntax: reply(501, "5.5.4", "Syntax: RCPT TO:<address>"),
  badRecipient: reply(501, "5.1.3", "Bad recipient address syntax"),
  badNotify: reply(501, "5.5.4", "Error: Bad NOTIFY parameter syntax"),
  badOrcpt: reply(501, "5.5.4", "Error: Bad ORCPT parameter syntax"),
  tooManyRecipients: reply(452, "4.5.3", "Error: too many recipients"),
  needRecipient: reply(503, "5.5.1", "Error: need RCPT command"),
  noValidRecipients: reply(554, "5.5.1", "Error: no valid recipients"),
  syntax: (usage: string): Reply => reply(501, "5.5.4", `Syntax: ${usage}`),
  dataAfterBdat: reply(503, "5.5.1", "Error: DATA after BDAT"),
  notAfterBdat: (command: string): Reply => reply(503, "5.5.1", `Error: ${command} after BDAT`),
  badChunkSize: reply(521, "5.5.4", "Syntax: BDAT count [LAST]"),
  verifyDisabled: reply(502, "5.5.1", "VRFY command is disabled"),
  unknownCommand: reply(500, "5.5.2", "Error: command not recognized"),
  notImplemented: reply(502, "5.5.1", "Error: command not implemented"),
  noAuthentication: reply(503, "5.5.1", "Error: authentication not enabled"),
  etrnSyntax: reply(500, "", "Syntax: ETRN domain"),
  etrnParameter: reply(501, "", "Error: invalid parameter syntax"),
  etrnTransaction: reply(503, "", "Error: MAIL transaction in progress"),
  queuingStarted: reply(250, "", "Queuing started"),
  queuingFailed: reply(458, "", "Unable to queue messages"),
  notServed: (domain: string): Reply => reply(459, "", `<${domain}>: service unavailable`),
  accessDenied: (client: string): Reply => reply(503, "5.7.0", `Error: access denied for ${client}`),
  badSyntax: reply(500, "5.5.2", "Error: bad syntax"),
  badUtf8: reply(500, "5.5.2", "Error: bad UTF-8 syntax"),
  mustDeclareUtf8: reply(553, "5.6.7", "Must declare SMTPUTF8 to send unicode address"),
  bareNewline: (code: number, host: string): Reply => ({
    ...reply(code, code < 500 ? "4.5.2" : "5.5.2", `${host} Error: bare <LF> received`),
    close: true,
  }),
  pipelining: { ...reply(554, "5.5.0", "Error: SMTP protocol synchronization"), close: true } as Reply,
  tooManyErrors: (host: string): Reply => reply(421, "4.7.0", `${host} Error: too many errors`),
  localError: (host: string): Reply => reply(421, "4.3.0", `${host} Server local error`),
  timeout: (host: string): Reply => reply(421, "4.4.2", `${host} Error: timeout exceeded`),
  tooManyConnections: (host: string): Reply => reply(421, "4.7.0", `${host} Error: too many connections`),
  tooManyConnectionsFrom: (host: string, address: string): Reply => ({
    ...reply(421, "4.7.0", `${host} Error: too many connections from ${address}`),
    close: true,
  }),
  tooMuchMail: (address: string): Reply => reply(450, "4.7.1", `Error: too much mail from ${address}`),
  tooManyRecipientsFrom: (address: string): Reply => reply(450, "4.7.1", `Error: too many recipients from ${address}`),
  shuttingDown: (host: string): Reply => reply(421, "4.3.2", `${host} Error: server is shutting down`),
  overloaded: (host: string): Reply => reply(421, "4.3.2", `${host} Error: out of resources, try again later`),

  messageTooBig: reply(552, "5.3.4", "Error: message file too big"),
  tooManyHops: reply(554, "5.4.0", "Error: too many hops"),
  queueWriteError: reply(451, "4.3.0", "Error: queue file write error"),
  serviceUnavailable: reply(451, "4.3.0", "Error: internal error, try again later"),
  serverConfiguration: reply(451, "4.3.5", "Server configuration error"),

  temporaryLookupFailure: (address: string): Reply => reply(451, "4.3.0", `<${address}>: Temporary lookup failure`),
  rejected: (code: number, status: Status, what: string, kind: string, why: string): Reply =>
    reply(code, status, `<${what}>: ${kind} rejected: ${why}`),
  attributeExpected: reply(501, "5.5.4", "Error: attribute=value expected"),
  attributeTooLong: reply(501, "5.5.4", "Error: attribute value too long"),
  attributeName: (command: string, name: string): Reply =>
    reply(501, "5.5.4", `Bad ${command} attribute name: ${name}`),
  attributeSyntax: (name: string, value: string): Reply => reply(501, "5.5.4", `Bad ${name} syntax: ${value}`),
  transactionInProgress: reply(503, "5.5.1", "Error: MAIL transaction in progress"),
  insufficientAuthorization: reply(550, "5.7.0", "Error: insufficient authorization"),
  relayDenied: (code: number, address: string): Reply =>
    reply(code, code < 500 ? "4.7.1" : "5.7.1", `<${address}>: Relay access denied`),
} as const;
