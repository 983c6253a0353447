/**
 * What deliveries to maildirs and mbox files share: the lines before a message, content with LF line ends, errors in
 * Postfix's words, and the rights of the mailbox's owner.
 *
 * Rights: until a root helper with seteuid(2) does the writing, a process that runs as root makes everything itself and
 * gives it to its owner. Ownership refuses what the owner could not have done alone and what was put there as a trap
 * (links, folders of others); a user who changes his folders between the check and the use can still win that race, so
 * that workers are not meant to stay root. A process that is not root does everything as itself.
 */

import type { ContentSource, DeliveryRequest } from "./agent.ts";
import type { Recipient } from "./envelope.ts";
import { systemCode } from "./errors.ts";
import { ctime } from "./header.ts";
import { latin1Encode } from "./latin1.ts";
import type { Files, FileStat, OpenFile, Runtime } from "./runtime.ts";

/** Names that nobody else makes: two agents of a process write to the same folder, and so may other processes. */
export class UniqueNames {
  readonly #prefix: string;
  #count = 0;

  constructor(runtime: Runtime) {
    const random = [...runtime.random.bytes(4)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    this.#prefix = `P${runtime.processes?.pid ?? 0}R${random}`;
  }

  next(): string {
    return `${this.#prefix}Q${++this.#count}`;
  }
}

/** Whom a mailbox belongs to. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** One message for one mailbox. */
export interface Letter {
  readonly request: DeliveryRequest;
  readonly recipient: Recipient;
  /** Delivered-To: is written (prepend_delivered_header). */
  readonly showDelivered: boolean;
  readonly owner: Owner;
  /** With whose rights names are made in the folder: root (0) makes them anywhere. */
  readonly creator: Owner;
  /** Largest file in bytes; 0: no limit. */
  readonly sizeLimit: number;
  readonly signal: AbortSignal;
}

/** null: stored, durably. */
export type StoreFault = { readonly status: string; readonly reason: string; readonly code: string } | null;

/** A fault of the system by its code, as if a system call had failed. */
export class SystemFault extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

const WORDS: Readonly<Record<string, string>> = {
  EACCES: "Permission denied",
  EAGAIN: "Resource temporarily unavailable",
  EBUSY: "Device or resource busy",
  EDQUOT: "Disk quota exceeded",
  EEXIST: "File exists",
  EFBIG: "File too large",
  EIO: "Input/output error",
  EISDIR: "Is a directory",
  ELOOP: "Too many levels of symbolic links",
  EMFILE: "Too many open files",
  ENAMETOOLONG: "File name too long",
  ENFILE: "Too many open files in system",
  ENODEV: "No such device",
  ENOENT: "No such file or directory",
  ENOMEM: "Cannot allocate memory",
  ENOSPC: "No space left on device",
  ENOTDIR: "Not a directory",
  ENXIO: "No such device or address",
  EPERM: "Operation not permitted",
  EROFS: "Read-only file system",
  ESTALE: "Stale file handle",
};

/** strerror(3) of something caught. */
export function systemWords(caught: unknown): string {
  const code = systemCode(caught);
  return Object.hasOwn(WORDS, code) ? WORDS[code]! : code !== "" ? code : String(caught);
}

/** Status of a failure with a mailbox (Postfix's mbox_dsn): quota and size limit are the recipient's, for good. */
export function mailboxStatus(code: string, otherwise: string): string {
  if (code === "EAGAIN" || code === "ESTALE") return "4.2.0";
  if (code === "EDQUOT" || code === "EFBIG") return "5.2.2";
  // The machine is in trouble, not the mailbox.
  if (["ENOSPC", "EIO", "EMFILE", "ENFILE", "ENOMEM", "EROFS"].includes(code)) return "4.3.0";
  return otherwise;
}

/** A failure while the message was copied. Unlike Postfix (5.3.0), unknown trouble with a disk does not bounce mail. */
export function copyFault(caught: unknown): StoreFault {
  const code = systemCode(caught);
  if (caught instanceof ContentFault) {
    return { status: "4.3.0", code, reason: `error reading message: ${systemWords(caught.cause)}` };
  }
  return { status: mailboxStatus(code, "4.3.0"), code, reason: `error writing message: ${systemWords(caught)}` };
}

/** The message itself could not be read. */
class ContentFault extends Error {}

function mayWrite(stat: FileStat, who: Owner): boolean {
  if (who.uid === 0) return true;
  const bit = stat.uid === who.uid ? 0o200 : stat.gid === who.gid ? 0o020 : 0o002;
  return (stat.mode & bit) !== 0;
}

export class Ownership {
  readonly #files: Files;
  readonly privileged: boolean;
  readonly #self: number;

  constructor(runtime: Runtime, files: Files) {
    this.#files = files;
    this.#self = runtime.processes?.uid() ?? -1;
    this.privileged = this.#self === 0;
  }

  /** Throws EACCES where `who` could not make names in that folder; ENOENT and the like come through. */
  async mayCreateIn(folder: string, who: Owner): Promise<void> {
    if (!this.privileged || who.uid === 0) return;
    const stat = await this.#files.statLink(folder);
    if (stat.kind === "link") {
      // A link of root's is the administrator's word, another one may be a trap.
      if (stat.uid !== 0 || !mayWrite(await this.#files.stat(folder), who)) throw new SystemFault("EACCES");
    } else if (stat.kind !== "folder") throw new SystemFault("ENOTDIR");
    else if (!mayWrite(stat, who)) throw new SystemFault("EACCES");
  }

  /** Hands a new file over. */
  async give(file: OpenFile, owner: Owner): Promise<void> {
    if (this.privileged) await file.setOwner(owner.uid, owner.gid);
  }

  /** Hands over a folder that was just made; by descriptor, so that no link can take its place. */
  async giveFolder(path: string, owner: Owner): Promise<void> {
    if (!this.privileged) return;
    const folder = await this.#files.open(path, "read");
    try {
      const [held, named] = [await folder.stat(), await this.#files.statLink(path)];
      const same = named.kind === "folder" && named.inode === held.inode && named.device === held.device;
      if (!same || held.uid !== 0) throw new SystemFault("EACCES");
      await folder.setOwner(owner.uid, owner.gid);
    } finally {
      await folder.close();
    }
  }

  owns(stat: FileStat, owner: Owner): boolean {
    return stat.uid === (this.privileged ? owner.uid : this.#self);
  }

  mayWriteFile(stat: FileStat, owner: Owner): boolean {
    return !this.privileged || mayWrite(stat, owner);
  }
}

/** Return-Path:, X-Original-To:, Delivered-To: with LF; `mbox` puts the From line before them. */
export function leadingLines(
  letter: Letter,
  mbox: { readonly now: number; readonly zoneMinutes: number } | null,
): string {
  const { request, recipient, showDelivered } = letter;
  const { sender } = request.envelope;
  const name = sender === "" ? "MAILER-DAEMON" : sender;
  const from = mbox === null ? "" : `From ${name}  ${ctime(mbox.now, mbox.zoneMinutes)}\n`;
  const original = recipient.original === "" ? recipient.address : recipient.original;
  const delivered = showDelivered ? `Delivered-To: ${recipient.address}\n` : "";
  return `${from}Return-Path: <${sender}>\nX-Original-To: ${original}\n${delivered}`;
}

const LF = 10;
const CR = 13;
const FROM = [70, 114, 111, 109, 32];

/** How many bytes at `at` agree with "From ", up to what is there. */
function fromLength(bytes: Uint8Array, at: number): number {
  let length = 0;
  while (length < FROM.length && at + length < bytes.length && bytes[at + length] === FROM[length]) length++;
  return length;
}

/**
 * Content with CRLF line ends to LF, with ">" before lines that start with "From " where `quote` is set. A CR that no
 * LF follows, NUL and 8-bit bytes stay. At most five bytes are held back between pieces.
 */
export class LineConverter {
  readonly #quote: boolean;
  #lineStart = true;
  #held: Uint8Array | null = null;
  /** The message does not end with a line end yet. */
  #open = false;

  constructor(quote: boolean) {
    this.#quote = quote;
  }

  push(piece: Uint8Array): Uint8Array {
    let bytes = piece;
    if (this.#held !== null) {
      bytes = new Uint8Array(this.#held.length + piece.length);
      bytes.set(this.#held);
      bytes.set(piece, this.#held.length);
      this.#held = null;
    }
    return this.#convert(bytes, false);
  }

  /** The rest, and the line end that the last line lacks. */
  end(): Uint8Array {
    const rest = this.#held === null ? new Uint8Array(0) : this.#convert(this.#held, true);
    if (!this.#open) return rest;
    const closed = new Uint8Array(rest.length + 1);
    closed.set(rest);
    closed[rest.length] = LF;
    return closed;
  }

  #convert(bytes: Uint8Array, last: boolean): Uint8Array {
    // Each quoted line is at least five bytes long.
    const out = new Uint8Array(bytes.length + Math.ceil(bytes.length / 5) * (this.#quote ? 1 : 0));
    const { length } = bytes;
    let to = 0;
    let at = 0;
    let lineStart = this.#lineStart;
    while (at < length) {
      if (this.#quote && lineStart && bytes[at] === FROM[0]) {
        const same = fromLength(bytes, at);
        if (same === FROM.length) out[to++] = 62;
        else if (at + same === length && !last) break;
      }
      const lf = bytes.indexOf(LF, at);
      let end = lf < 0 ? length : lf;
      // A CR at the end of the piece may belong to a line end.
      if (end > at && bytes[end - 1] === CR && (lf >= 0 || !last)) end--;
      out.set(bytes.subarray(at, end), to);
      to += end - at;
      lineStart = lf >= 0 || (lineStart && end === at);
      at = lf < 0 ? end : lf + 1;
      if (lf < 0) break;
      out[to++] = LF;
    }
    this.#lineStart = lineStart;
    this.#held = at < length ? bytes.slice(at) : null;
    if (to > 0) this.#open = out[to - 1] !== LF;
    return out.subarray(0, to);
  }
}

/** Writes of a streamed message are gathered up to this size. */
const GATHER_BYTES = 128 * 1024;

/**
 * Copies a message to an open file from `position` on: `lead`, the content, and `tail` after it. Returns the bytes
 * written. Throws what the file throws, EFBIG at the size limit, ContentFault.
 */
export async function copyMessage(
  content: ContentSource,
  letter: Letter,
  file: OpenFile,
  position: number,
  text: { readonly lead: string; readonly tail: string; readonly quote: boolean },
): Promise<number> {
  const converter = new LineConverter(text.quote);
  let pieces: Uint8Array[] = [latin1Encode(text.lead)];
  let gathered = text.lead.length;
  let at = position;
  const flush = async (): Promise<void> => {
    if (letter.sizeLimit > 0 && at + gathered > letter.sizeLimit) throw new SystemFault("EFBIG");
    await file.write(pieces, at);
    at += gathered;
    pieces = [];
    gathered = 0;
  };
  const add = (bytes: Uint8Array): boolean => {
    if (bytes.length > 0) pieces.push(bytes);
    gathered += bytes.length;
    return gathered >= GATHER_BYTES;
  };
  const ready = content.pieces(letter.request.queueId);
  if (ready !== null) { for (const piece of ready) if (add(converter.push(piece))) await flush(); }
  else for await (const piece of read(content, letter)) if (add(converter.push(piece))) await flush();
  add(converter.end());
  add(latin1Encode(text.tail));
  await flush();
  return at - position;
}

/** The stored content; what goes wrong with it is told apart from what goes wrong with the mailbox. */
async function* read(content: ContentSource, letter: Letter): AsyncGenerator<Uint8Array> {
  const pieces = content.read(letter.request.queueId)[Symbol.asyncIterator]();
  try {
    while (true) {
      const next = await pieces.next().catch((cause: unknown) => {
        throw new ContentFault("content", { cause });
      });
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await pieces.return?.();
  }
}
