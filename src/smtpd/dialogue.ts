/**
 * The border between the SMTP engine (bytes, sockets) and the session (what SMTP means). The engine calls a Dialogue,
 * one call at a time, and writes what it answers; the session never sees a socket.
 */

import type { Millis } from "../runtime.ts";

export interface Answer {
  /** Whole reply lines with CRLF; "" for none. */
  readonly text: string;
  /** What the engine reads next. "chunk": `chunk` bytes of BDAT data. */
  readonly next: "command" | "data" | "chunk" | "close";
  readonly chunk?: number;
  /** Where the chunk stands in its message: the first one begins the content, the last one ends it. */
  readonly chunkIs?: "first" | "next" | "last" | "only";
  /** Waits this long before the text is written (smtpd_error_sleep_time). */
  readonly delay?: Millis;
  /** With "data": `\n.\n` and its kin end the message too (smtpd_forbid_bare_newline = no). */
  readonly lenient?: boolean;
}

/** A command line as it came. */
export interface CommandLine {
  /** Without its line end; cut at line_length_limit. */
  readonly text: string;
  /** It ended with LF alone. */
  readonly bareNewline: boolean;
  /** What the client had sent behind it already (at most 100 bytes), "" for nothing. */
  readonly behind: string;
}

export interface Peer {
  readonly address: string;
  readonly port: number;
  readonly localAddress: string;
  readonly localPort: number;
}

export interface Dialogue {
  /** The greeting. */
  open(): Answer | Promise<Answer>;
  command(line: CommandLine): Answer | Promise<Answer>;
  /**
   * Message content, dot-stuffing undone, lines ended by CRLF, by reference. A promise: wait before the next call
   * of data() that belongs to another chunk of input.
   */
  data(piece: Uint8Array): Promise<void> | null;
  /** The dot came, or the last byte of a BDAT chunk. */
  endOfData(facts: DataFacts): Answer | Promise<Answer>;
  /** The client sent nothing for too long; the text is written before the connection closes. */
  timeout(): string;
  /** The connection is gone. Called once, last. */
  closed(): void;
}

/** What the engine noticed while it read a message. */
export interface DataFacts {
  /** A line ended with LF alone. */
  readonly bareNewline: boolean;
}

/** smtpd_forbid_bare_newline: whether CRLF.CRLF alone ends a message. */
export type BareNewline = "yes" | "normalize" | "reject" | "note" | "no";

export interface EngineOptions {
  readonly timeout: Millis;
  readonly lineLengthLimit: number;
  /** cleanup_replace_stray_cr_lf */
  readonly replaceStrayCr: boolean;
}
