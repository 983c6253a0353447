/**
 * Submission as sendmail(1) does it: message from the input, recipients from the command line and, with -t, from the
 * headers, into a file of the maildrop folder. Works while the mail system is stopped.
 *   reading --end of input, or a dot--> committed | refused (no recipients, too big): nothing is left behind
 * Throws what the system says when the folder cannot be written.
 */

import { addressList } from "../address-list.ts";
import { maildropPreface, type Submission } from "../maildrop.ts";
import type { Runtime } from "../runtime.ts";
import { Drop } from "./drop.ts";
import { MessageInput } from "./input.ts";

export interface SubmitOptions {
  readonly runtime: Runtime;
  readonly queueDirectory: string;
  /** message_size_limit; 0: none. */
  readonly sizeLimit: number;
  readonly submission: Submission;
  /** -t */
  readonly fromHeaders: boolean;
  /** Without -i. */
  readonly dotEnds: boolean;
  /** Stands for an empty address (empty_address_recipient). */
  readonly emptyRecipient: string;
}

export type SubmitResult = "submitted" | "no recipients" | "too big";

const HEADERS = new Set(["to", "cc", "bcc", "apparently-to"]);

/** Recipients in header fields; those of Resent- fields alone where there are any (RFC 5322 §3.6.6). */
class HeaderRecipients {
  readonly #original: string[] = [];
  readonly #resent: string[] = [];
  #isResent = false;

  take(name: string, value: string): void {
    if (HEADERS.has(name)) this.#original.push(...addressList(value));
    else if (/^resent-(to|cc|bcc)$/.test(name)) this.#resent.push(...addressList(value));
    if (name.startsWith("resent-")) this.#isResent = true;
  }

  list(): readonly string[] {
    return (this.#isResent ? this.#resent : this.#original).filter((address) => address !== "");
  }
}

export async function submit(options: SubmitOptions, input: AsyncIterable<Uint8Array>): Promise<SubmitResult> {
  const { runtime, queueDirectory, fromHeaders } = options;
  if (!fromHeaders && options.submission.recipients.length === 0) return "no recipients";
  const drop = await Drop.open(runtime, queueDirectory);
  try {
    const result = await write(options, drop, input);
    if (result === "submitted") await drop.commit();
    else await drop.abort();
    return result;
  } catch (caught) {
    await drop.abort().catch(() => {});
    throw caught;
  }
}

async function write(options: SubmitOptions, drop: Drop, input: AsyncIterable<Uint8Array>): Promise<SubmitResult> {
  const { submission, fromHeaders, sizeLimit, dotEnds, emptyRecipient } = options;
  const found = new HeaderRecipients();
  const message = new MessageInput({
    dotEnds,
    header: fromHeaders ? (name, value) => found.take(name, value) : null,
  });
  // The envelope stands first in the file: with -t the headers wait for it.
  let waiting: Uint8Array[] | null = [];
  let size = 0;
  let recipients: readonly string[] = [];
  const put = async (pieces: readonly Uint8Array[]): Promise<void> => {
    for (const piece of pieces) size += piece.length;
    waiting?.push(...pieces);
    if (waiting !== null && fromHeaders && message.inHeaders) return;
    if (waiting !== null) {
      const given = [...submission.recipients, ...found.list()];
      recipients = given.map((address) => address === "" ? emptyRecipient : address);
      const held = waiting;
      waiting = null;
      await drop.write(maildropPreface({ ...submission, recipients }));
      for (const piece of held) await drop.write(piece);
    } else for (const piece of pieces) await drop.write(piece);
  };
  for await (const chunk of input) {
    await put(message.push(chunk));
    if (sizeLimit > 0 && size + message.held > sizeLimit) return "too big";
    if (message.ended) break;
  }
  await put(message.end());
  return recipients.length === 0 ? "no recipients" : "submitted";
}
