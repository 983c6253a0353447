/**
 * What ties a notice to its message in a reader's list of threads (enable_threaded_bounces, RFC 5322 §3.6.4).
 * Throws ResourceError when the message cannot be read.
 */

import { latin1Decode } from "../latin1.ts";

/** Headers beyond this are not looked at. */
const HEADERS_LIMIT = 100 * 1024;
const MESSAGE_ID = /^message-id:[ \t]*(<[^\r\n]*>)[ \t]*\r?$/im;

/** Reads headers; the message id in its brackets, "" where there is none on a line of its own. */
export async function messageIdOf(headers: AsyncIterable<Uint8Array>): Promise<string> {
  let text = "";
  for await (const piece of headers) {
    text += latin1Decode(piece);
    if (text.length > HEADERS_LIMIT) break;
  }
  return MESSAGE_ID.exec(text)?.[1] ?? "";
}
