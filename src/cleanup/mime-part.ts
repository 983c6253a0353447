/**
 * What the parts of a message are, as mime.ts tells them: plain data.
 */

import { HeaderNames } from "../header.ts";
import type { ContentKind, Encoding } from "./content-type.ts";

export type HeaderPlace = "primary" | "mime" | "nested";

/** Headers that are "mime" wherever they stand. */
export const MIME_HEADERS: ReadonlySet<string> = new Set(
  ["content-description", "content-disposition", "content-id", "content-transfer-encoding", "content-type"]
    .concat("mime-version"),
);

export const MIME_NAMES: HeaderNames = new HeaderNames(MIME_HEADERS);

export type MimeError = keyof typeof MIME_ERRORS;

/** The most serious first. */
export const MIME_ERRORS = {
  nesting: "MIME nesting exceeds safety limit",
  header8bit: "improper use of 8-bit data in message header",
  body8bit: "improper use of 8-bit data in message body",
  domain: "invalid message/* or multipart/* encoding domain",
} as const;

export interface Fault {
  readonly error: MimeError;
  /** What is wrong, its first 100 characters. */
  readonly text: string;
}

export interface LogicalHeader {
  /** In the block; its last CRLF is before `end`. */
  readonly start: number;
  readonly end: number;
  /** In lower case; "" when it is none of `MimeOptions.names` and not about MIME. */
  readonly name: string;
  /** Headers about MIME are "mime" wherever they stand. */
  readonly place: HeaderPlace;
  readonly faults: readonly Fault[];
}

export type Part =
  | { readonly kind: "headers"; readonly block: Uint8Array; readonly headers: readonly LogicalHeader[] }
  /** The headers of the message are over. */
  | { readonly kind: "headers end" }
  /** Whole records: lines, or pieces of `lineLimit` bytes of a longer line. `inLimit`: within bodyLimit. */
  | { readonly kind: "body"; readonly bytes: Uint8Array; readonly inLimit: boolean }
  | { readonly kind: "fault"; readonly fault: Fault }
  /**
   * With `entities`: the headers of the message, of a part or of an enclosed message are over. What may be encoded as a
   * whole (isOpaque) is "other", and its headers are body.
   */
  | { readonly kind: "entity"; readonly content: ContentKind; readonly encoding: Encoding }
  /** With `entities`: the line that comes is a boundary. */
  | { readonly kind: "boundary" };

export interface MimeOptions {
  /** line_length_limit, header_size_limit, mime_boundary_length_limit, mime_nesting_limit */
  readonly lineLimit: number;
  readonly headerLimit: number;
  readonly boundaryLimit: number;
  readonly nestingLimit: number;
  /** Only the headers of the message are told from its body (disable_mime_input_processing). */
  readonly flat: boolean;
  /** Body bytes of each part that are wanted record by record. */
  readonly bodyLimit: number;
  readonly report: ReadonlySet<MimeError>;
  /** Names that headers are to be told by, those about MIME among them; absent: those alone. */
  readonly names?: HeaderNames;
  /** Where entities begin and end is told too. */
  readonly entities?: true;
}
