/**
 * The queue as mailq shows it, and as one JSON object a line: Postfix's layout, column by column. Pure.
 */

import { ctime } from "../header.ts";
import type { ListedEntry, ListedRecipient } from "../queue-list.ts";
import type { Millis } from "../runtime.ts";

interface Layout {
  readonly heading: string;
  readonly id: number;
  readonly size: number;
  readonly date: number;
}

const SHORT: Layout = {
  heading: "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n",
  id: 11,
  size: 7,
  date: 20,
};
/** enable_long_queue_ids */
const LONG: Layout = {
  heading: "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n",
  id: 17,
  size: 8,
  date: 19,
};
const REASON_WIDTH = 76;
const MARKS: Readonly<Record<string, string>> = { active: "*", hold: "!" };

function senderOf(entry: ListedEntry): string {
  return entry.sender === "" ? "MAILER-DAEMON" : entry.sender;
}

/** First those that were tried, with their reasons. */
function ordered({ recipients }: ListedEntry): readonly ListedRecipient[] {
  return [...recipients.filter(({ reason }) => reason !== ""), ...recipients.filter(({ reason }) => reason === "")];
}

export class QueueReport {
  readonly #layout: Layout;
  readonly #zoneMinutes: (at: Millis) => number;
  #count = 0;
  #bytes = 0;

  constructor(long: boolean, zoneMinutes: (at: Millis) => number) {
    this.#layout = long ? LONG : SHORT;
    this.#zoneMinutes = zoneMinutes;
  }

  entry(entry: ListedEntry): string {
    const { heading, id, size, date } = this.#layout;
    const text = this.#count === 0 ? heading : "\n";
    this.#count++;
    this.#bytes += entry.size;
    const marked = `${entry.id}${MARKS[entry.queue] ?? ""}${entry.expired ? "#" : ""}`;
    const arrived = ctime(entry.arrived, this.#zoneMinutes(entry.arrived)).slice(0, date);
    const columns = `${marked.padEnd(id)} ${String(entry.size).padStart(size)} ${arrived}`;
    return `${text}${columns} ${senderOf(entry)}\n${this.#recipients(entry)}`;
  }

  end(): string {
    if (this.#count === 0) return "Mail queue is empty\n";
    const kilobytes = Math.floor(this.#bytes / 1024);
    return `\n-- ${kilobytes} Kbytes in ${this.#count} Request${this.#count === 1 ? "" : "s"}.\n`;
  }

  #recipients(entry: ListedEntry): string {
    const { id, size, date } = this.#layout;
    const indent = " ".repeat(id + size + date + 3);
    let text = "";
    let shown = "";
    for (const { address, reason } of ordered(entry)) {
      if (reason !== shown) {
        text += `${" ".repeat(Math.max(0, REASON_WIDTH - reason.length))}(${reason || "reason unavailable"})\n`;
        shown = reason;
      }
      text += `${indent}${address}\n`;
    }
    return text;
  }
}

/** Bytes above ASCII stand as they are, so that UTF-8 stays UTF-8. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(/\x7f/g, "\\u007F");
}

function recipientObject({ address, reason }: ListedRecipient): string {
  return `{"address": ${quoted(address)}${reason === "" ? "" : `, "delay_reason": ${quoted(reason)}`}}`;
}

/** postqueue -j */
export function queueLine(entry: ListedEntry): string {
  const fields = [
    `"queue_name": ${quoted(entry.queue)}`,
    `"queue_id": ${quoted(entry.id)}`,
    `"arrival_time": ${Math.floor(entry.arrived / 1000)}`,
    `"message_size": ${entry.size}`,
    `"forced_expire": ${entry.expired}`,
    `"sender": ${quoted(senderOf(entry))}`,
    `"recipients": [${ordered(entry).map(recipientObject).join(", ")}]`,
  ];
  return `{${fields.join(", ")}}\n`;
}
