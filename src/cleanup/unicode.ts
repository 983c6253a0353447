/**
 * Which messages are SMTPUTF8 (RFC 6531), and which of them cannot do without: those with an address or a header that
 * is not ASCII. Headers of parts and of enclosed messages count, and so a notice needs what its message needs.
 */

import type { Config } from "../config/config.ts";
import type { Envelope } from "../envelope.ts";
import { has8bit } from "../header.ts";
import { isAscii } from "../maps/fold.ts";
import { MimeScanner } from "./mime.ts";

/** The client asked for it, or it is so where something is found (smtputf8_autodetect_classes). */
export type UnicodeRule = "requested" | "found";

/** For an Origin: nothing where nobody looks. */
export function autodetected(config: Config, mailClass: string): { readonly smtputf8?: UnicodeRule } {
  const { smtputf8_enable: on, smtputf8_autodetect_classes: classes } = config;
  return on && (classes.includes(mailClass) || classes.includes("all")) ? { smtputf8: "found" } : {};
}

export function withUnicode(envelope: Envelope, rule: UnicodeRule | undefined, inHeaders: boolean): Envelope {
  if (rule === undefined) return envelope;
  const { sender, recipients } = envelope;
  const needed = inHeaders || !isAscii(sender) || recipients.some(({ address }) => !isAscii(address));
  if (needed) return { ...envelope, smtputf8: "needed" };
  return rule === "found" ? envelope : { ...envelope, smtputf8: "requested" };
}

/** Whether a header is not ASCII; the content as it comes. */
export class UnicodeHeaders {
  readonly #scanner: MimeScanner;
  #found = false;

  constructor(config: Config) {
    this.#scanner = new MimeScanner({
      lineLimit: config.line_length_limit,
      headerLimit: config.header_size_limit,
      boundaryLimit: config.mime_boundary_length_limit,
      nestingLimit: config.mime_nesting_limit,
      flat: config.disable_mime_input_processing,
      bodyLimit: 0,
      report: new Set(),
    }, (part) => {
      if (part.kind === "headers") this.#found ||= has8bit(part.block, 0, part.block.length);
    });
  }

  push(piece: Uint8Array): void {
    if (!this.#found) this.#scanner.push(piece);
  }

  /** The content is over. */
  found(): boolean {
    if (!this.#found) this.#scanner.end();
    return this.#found;
  }
}
