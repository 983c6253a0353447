/**
 * postcat(1): shows messages in Postfix's layout. -q: by queue id, from the running system or the store; else the named
 * maildrop files, or standard input. -e envelope, -h headers, -b body (all three without any); -d record types, -o
 * offsets and -s what begins there, of the queue file that Postfix would have. Exit status 0; 1 when a message is not
 * there.
 */

import type { Config } from "../config/config.ts";
import type { ClientOrigin, Envelope, Notify } from "../envelope.ts";
import { systemCode } from "../errors.ts";
import { ctime, headerNameLength } from "../header.ts";
import { latin1Decode, latin1Encode, latin1Of } from "../latin1.ts";
import { contentPieces, type Dropped, type Readable, readDropped } from "../maildrop.ts";
import { mayBeQueueId } from "../queue/queue-id.ts";
import type { QueueEntry } from "../queue/store.ts";
import type { ReadAnswer } from "../queue-requests.ts";
import type { Millis, Runtime } from "../runtime.ts";
import { hasOption, lastValue } from "./getopt.ts";
import { QueueAccess } from "./queue-access.ts";
import { Fatal, runTool, systemText, type Tool } from "./tool.ts";

const USAGE = "usage: postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] [-e (envelope records)] " +
  "[-h (header text)] [-q (access queue)] [-v] [file(s)...]";

interface Shown {
  readonly envelope: boolean;
  readonly headers: boolean;
  readonly body: boolean;
  readonly types: boolean;
  readonly offsets: boolean;
  readonly verbose: boolean;
  /** Records before this offset are passed over. */
  readonly from: number;
}

export function postcat(runtime: Runtime, arguments_: readonly string[]): Promise<number> {
  return runTool(runtime, "postcat", 1, async (tool) => {
    const line = tool.options("bc:dehoqrs:v", arguments_, USAGE);
    const has = (letter: string): boolean => hasOption(line, letter);
    const all = !has("b") && !has("e") && !has("h");
    const offset = lastValue(line, "s") ?? "0";
    if (!/^\d+$/.test(offset)) throw new Fatal(`bad offset: ${offset}`);
    const shown = {
      envelope: all || has("e"),
      headers: all || has("h"),
      body: all || has("b"),
      types: has("d"),
      offsets: has("o"),
      verbose: has("v"),
      from: Number(offset),
    };
    const config = tool.config(tool.directory(lastValue(line, "c")));
    if (line.operands.length === 0) await showInput(tool, shown);
    else if (has("q")) await showQueued(tool, config, line.operands.map(latin1Of), shown);
    else for (const path of line.operands) await showFile(tool, path, shown);
    return 0;
  });
}

async function showQueued(tool: Tool, config: Config, ids: readonly string[], shown: Shown): Promise<void> {
  const check = (id: string): void => {
    if (!mayBeQueueId(id)) throw new Fatal(`bad mail queue ID: ${id}`);
  };
  check(ids[0]!);
  await QueueAccess.prepare(tool, config, "reader");
  const access = await QueueAccess.open(tool, config, "reader");
  if (access === "down" || access === "denied") throw new Fatal(`open queue file ${ids[0]}: Permission denied`);
  try {
    for (const id of ids) {
      check(id);
      const view = new MessageView(tool, shown);
      try {
        await access.ask({ request: "read", id }, (value) => view.take(id, value as unknown as ReadAnswer));
      } catch (caught) {
        throw new Fatal(`open queue file ${id}: ${systemText(caught)}`);
      }
      view.end();
    }
  } finally {
    await access.close();
  }
}

async function showFile(tool: Tool, path: string, shown: Shown): Promise<void> {
  let file;
  try {
    file = await tool.files.open(path, "read");
  } catch (caught) {
    if (systemCode(caught) === "") throw caught;
    throw new Fatal(`open ${latin1Of(path)}: ${systemText(caught)}`);
  }
  try {
    const { kind, size, modified } = await file.stat();
    if (kind === "folder") return tool.warn(`close ${latin1Of(path)}: Is a directory`);
    if (size > 0) await showDropped(tool, latin1Of(path), { file, arrived: modified }, shown);
  } finally {
    await file.close();
  }
}

async function showInput(tool: Tool, shown: Shown): Promise<void> {
  const pieces: Uint8Array[] = [];
  for await (const piece of tool.processes.readInput()) pieces.push(piece);
  const input = latin1Encode(pieces.map((piece) => latin1Decode(piece)).join(""));
  const read = (into: Uint8Array, position: number): Promise<number> => {
    const part = input.subarray(position, position + into.length);
    into.set(part);
    return Promise.resolve(part.length);
  };
  if (input.length > 0) await showDropped(tool, "stdin", { file: { read }, arrived: tool.runtime.clock.now() }, shown);
}

async function showDropped(
  tool: Tool,
  path: string,
  { file, arrived }: { readonly file: Readable; readonly arrived: Millis },
  shown: Shown,
): Promise<void> {
  const dropped = await readDropped(file);
  if (typeof dropped === "string") return tool.warn(`${path}: input is not a valid queue file`);
  const view = new MessageView(tool, shown);
  view.take(path, { dropped, arrived });
  for await (const piece of contentPieces(file, dropped)) view.take(path, { content: latin1Decode(piece) });
  view.end();
}

/** A record of a queue file (rec_type.h): its type, how it is shown, and how many bytes of data it has. */
interface QueueRecord {
  readonly type: string;
  readonly text: string;
  readonly size: number;
}

const named = (type: string, name: string, value: string): QueueRecord => ({
  type,
  text: `${name}: ${value}`,
  size: value.length,
});
const attribute = (name: string, value: string | number): QueueRecord =>
  named("A", "named_attribute", `${name}=${value}`);

/** What a record takes of the file: type, length in groups of seven bits, data. */
function recordBytes(size: number): number {
  let bytes = 2 + size;
  for (let left = size >>> 7; left > 0; left >>>= 7) bytes++;
  return bytes;
}

/** Prints a message as its pieces come. */
class MessageView {
  readonly #tool: Tool;
  readonly #shown: Shown;
  #place = "";
  #rest = "";
  #inHeaders = true;
  #offset = 0;

  constructor(tool: Tool, shown: Shown) {
    this.#tool = tool;
    this.#shown = shown;
  }

  take(name: string, answer: ReadAnswer): void {
    if ("content" in answer) return this.#content(answer.content);
    const dropped = "dropped" in answer;
    this.#place = !dropped ? `${answer.entry.queue}/${name}` : name.includes("/") ? name : `maildrop/${name}`;
    const { envelope, from } = this.#shown;
    if (envelope && from === 0) this.#tool.print(`*** ENVELOPE RECORDS ${this.#place} ***\n`);
    const records = dropped ? this.#droppedRecords(answer.dropped, answer.arrived) : this.#entryRecords(answer.entry);
    for (const record of records) this.#print(record, envelope);
    this.#mark("M", "MESSAGE CONTENTS");
  }

  end(): void {
    if (this.#rest !== "") this.#line(this.#rest);
    this.#mark("X", "HEADER EXTRACTED");
    this.#mark("E", "MESSAGE FILE END");
  }

  #mark(type: string, text: string): void {
    this.#print({ type, text: `*** ${text} ${this.#place} ***`, size: 0 }, this.#shown.envelope);
  }

  #print({ type, text, size }: QueueRecord, shown: boolean): void {
    const { offsets, types, from } = this.#shown;
    const at = this.#offset;
    this.#offset += recordBytes(size);
    if (!shown || at < from) return;
    const offset = offsets ? `${String(at).padStart(9)} ` : "";
    this.#tool.print(`${offset}${types ? `${String(type.charCodeAt(0)).padStart(3)} ` : ""}${text}\n`);
  }

  #content(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() as string;
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    const text = line.endsWith("\r") ? line.slice(0, -1) : line;
    const { headers, body, verbose } = this.#shown;
    if (this.#inHeaders && !isHeaderLine(text)) this.#inHeaders = false;
    const record = { type: "N", text: verbose ? `regular_text: ${text}` : text, size: text.length };
    this.#print(record, this.#inHeaders ? headers : body);
  }

  #times(arrived: number): QueueRecord[] {
    const shown = ctime(arrived, this.#tool.runtime.clock.zoneMinutes(arrived));
    const seconds = String(Math.floor(arrived / 1000)).length;
    return [
      { type: "T", text: `message_arrival_time: ${shown}`, size: seconds + " 123456".length },
      { type: "A", text: `create_time: ${shown}`, size: seconds + "create_time=".length },
    ];
  }

  #entryRecords({ envelope, size, waiting }: QueueEntry): QueueRecord[] {
    const numbers = [size, 0, envelope.recipients.length, 0, size, 0];
    const records = [
      named("C", "message_size", numbers.map((number) => String(number).padStart(15)).join(" ")),
      ...this.#times(envelope.arrived),
      ...envelope.filter === undefined ? [] : [named("L", "content_filter", envelope.filter)],
      ...envelopeAttributes(envelope),
      named("S", "sender", envelope.sender),
      ...envelope.encoding === "" ? [] : [attribute("encoding", envelope.encoding)],
      ...clientAttributes(envelope.client),
    ];
    const open = new Set(waiting.map(({ index }) => index));
    for (const [index, recipient] of envelope.recipients.entries()) {
      const { address, original, originalRecipient, notify } = recipient;
      records.push(...notifyAttribute(notify));
      if (originalRecipient !== "") records.push(attribute("dsn_orig_rcpt", originalRecipient));
      records.push(named("O", "original_recipient", original || address));
      records.push(open.has(index) ? named("R", "recipient", address) : named("D", "done_recipient", address));
    }
    return records;
  }

  #droppedRecords(dropped: Dropped, arrived: number): QueueRecord[] {
    return [
      ...this.#times(arrived).slice(0, 1),
      ...envelopeAttributes(dropped),
      ...dropped.fullName === null ? [] : [named("F", "sender_fullname", dropped.fullName)],
      ...dropped.sender === null ? [] : [named("S", "sender", dropped.sender)],
      ...dropped.encoding === "" ? [] : [attribute("encoding", dropped.encoding)],
      ...notifyAttribute(dropped.notify),
      ...dropped.recipients.map((address) => named("R", "recipient", address)),
    ];
  }
}

function isHeaderLine(text: string): boolean {
  return /^[ \t]/.test(text) || headerNameLength(latin1Encode(text), 0, text.length) > 0;
}

function envelopeAttributes({ envid, ret }: Pick<Envelope, "envid" | "ret">): QueueRecord[] {
  const records: QueueRecord[] = [];
  if (envid !== "") records.push(attribute("envelope_id", envid));
  if (ret !== "") records.push(attribute("ret_flags", ret === "full" ? 1 : 2));
  return records;
}

/** Bits of Postfix's dsn_mask: never 1, success 2, failure 4, delay 8. */
function notifyAttribute(notify: Notify): QueueRecord[] {
  if (notify.length === 0) return [];
  const bits = { never: 1, success: 2, failure: 4, delay: 8 };
  return [attribute("notify_flags", notify.reduce((sum, word) => sum + bits[word], 0))];
}

function clientAttributes(client: ClientOrigin): QueueRecord[] {
  if (client.protocol === "") return [];
  return [
    attribute("log_client_name", client.name),
    attribute("log_client_address", client.address),
    attribute("log_client_port", client.port),
    attribute("log_message_origin", `${client.name}[${client.address}]`),
    attribute("log_helo_name", client.helo),
    attribute("log_protocol_name", client.protocol),
  ];
}
