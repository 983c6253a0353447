/**
 * A queue entry as the tools list it (postqueue -p and -j), the same from the control socket and from a store that a
 * tool opens itself. A long queue goes out as it is stored: the envelope's JSON is read by the tool alone.
 */

import { readStored } from "./queue/entry.ts";
import type { QueueName, StoredEntry } from "./queue/store.ts";

export interface ListedRecipient {
  readonly address: string;
  /** "" before the first attempt. */
  readonly reason: string;
}

export interface ListedEntry {
  readonly queue: QueueName | "maildrop";
  readonly id: string;
  readonly arrived: number;
  readonly size: number;
  /** postsuper -e */
  readonly expired: boolean;
  readonly sender: string;
  /** Those that still wait. */
  readonly recipients: readonly ListedRecipient[];
}

/** One line of JSON with what is stored, and the line's end. */
export function storedLine({ id, queue, text }: StoredEntry): string {
  const first = text.indexOf("\n");
  const second = text.indexOf("\n", first + 1);
  const waiting = text.slice(first + 1, second);
  return `{"queue":"${queue}","id":"${id}","head":"${text.slice(0, first)}","waiting":${waiting},` +
    `"envelope":${text.slice(second + 1)}}\n`;
}

/** What a line of the list says; null: it is no entry. */
export function listedEntry(line: Record<string, unknown>): ListedEntry | null {
  const { head, waiting, envelope, ...rest } = line;
  if (envelope === undefined) return line as unknown as ListedEntry;
  const { queue, id } = rest as { readonly queue: QueueName; readonly id: string };
  const read = typeof head === "string" ? readStored(id, head, waiting, envelope) : null;
  if (read === null) return null;
  const { record: { size, expired }, parts } = read;
  const recipients = parts.waiting.map(({ recipient: { address }, reason }) => ({ address, reason }));
  return { queue, id, arrived: parts.envelope.arrived, size, expired, sender: parts.envelope.sender, recipients };
}
