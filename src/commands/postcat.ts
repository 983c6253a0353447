/**
 * postcat(1): shows messages in Postfix's layout. -q: by queue id, from the running system or the store; else the named
 * maildrop files, or standard input. -e envelope, -h headers, -b body (all three without any). Exit status 0; 1 when a
 * message is not there.
 */

import type { Config } from "../config/config.ts";
import type { ClientOrigin, Envelope, Notify } from "../envelope.ts";
import { systemCode } from "../errors.ts";
import { ctime, headerNameLength } from "../header.ts";
import { latin1Decode, latin1Encode } from "../latin1.ts";
import { contentPieces, type Dropped, readDropped } from "../maildrop.ts";
import type { QueueEntry } from "../queue/store.ts";
import type { ReadAnswer } from "../queue-requests.ts";
import type { Runtime } from "../runtime.ts";
import { hasOption, lastValue } from "./getopt.ts";
import { QueueAccess } from "./queue-access.ts";
import { Fatal, runTool, systemText, type Tool } from "./tool.ts";

const USAGE = "usage: postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] [-e (envelope records)] " +
  "[-h (header text)] [-q (access queue)] [-v] [file(s)...]";

interface Shown {
  readonly envelope: boolean;
  readonly headers: boolean;
  readonly body: boolean;
}

export function postcat(runtime: Runtime, arguments_: readonly string[]): Promise<number> {
  return runTool(runtime, "postcat", 1, async (tool) => {
    const line = tool.options("bc:dehnoqrs:v", arguments_, USAGE);
    const has = (letter: string): boolean => hasOption(line, letter);
    const all = !has("b") && !has("e") && !has("h");
    const shown = { envelope: all || has("e"), headers: all || has("h"), body: all || has("b") };
    const config = tool.config(tool.directory(lastValue(line, "c")));
    if (has("q")) await showQueued(tool, config, line.operands, shown);
    else for (const path of line.operands) await showFile(tool, path, shown);
    return 0;
  });
}

async function showQueued(tool: Tool, config: Config, ids: readonly string[], shown: Shown): Promise<void> {
  const bad = ids.find((id) => !/^[0-9A-Za-z]+$/.test(id));
  if (bad !== undefined) throw new Fatal(`bad mail queue ID: ${bad}`);
  if (ids.length === 0) return;
  await QueueAccess.prepare(tool, config, "operator");
  const access = await QueueAccess.open(tool, config, "operator");
  if (access === "down" || access === "denied") throw new Fatal(`open queue file ${ids[0]}: Permission denied`);
  try {
    for (const id of ids) {
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
    throw new Fatal(`open ${path}: ${systemText(caught)}`);
  }
  try {
    const dropped = await readDropped(file);
    if (typeof dropped === "string") return tool.warn(`${path}: input is not a valid queue file`);
    const view = new MessageView(tool, shown);
    view.take(path, { dropped, arrived: (await file.stat()).modified });
    for await (const piece of contentPieces(file, dropped)) view.take(path, { content: latin1Decode(piece) });
    view.end();
  } finally {
    await file.close();
  }
}

/** Prints a message as its pieces come. */
class MessageView {
  readonly #tool: Tool;
  readonly #shown: Shown;
  #place = "";
  #rest = "";
  #inHeaders = true;

  constructor(tool: Tool, shown: Shown) {
    this.#tool = tool;
    this.#shown = shown;
  }

  take(name: string, answer: ReadAnswer): void {
    if ("content" in answer) return this.#content(answer.content);
    const dropped = "dropped" in answer;
    this.#place = !dropped ? `${answer.entry.queue}/${name}` : name.includes("/") ? name : `maildrop/${name}`;
    this.#mark("ENVELOPE RECORDS");
    const lines = dropped ? this.#droppedLines(answer.dropped, answer.arrived) : this.#entryLines(answer.entry);
    if (this.#shown.envelope) this.#tool.print(lines.map((text) => `${text}\n`).join(""));
    this.#mark("MESSAGE CONTENTS");
  }

  end(): void {
    if (this.#rest !== "") this.#line(this.#rest);
    this.#mark("HEADER EXTRACTED");
    this.#mark("MESSAGE FILE END");
  }

  #mark(text: string): void {
    if (this.#shown.envelope) this.#tool.print(`*** ${text} ${this.#place} ***\n`);
  }

  #content(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() as string;
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    const text = line.endsWith("\r") ? line.slice(0, -1) : line;
    if (this.#inHeaders && !isHeaderLine(text)) this.#inHeaders = false;
    if (this.#inHeaders ? this.#shown.headers : this.#shown.body) this.#tool.print(`${text}\n`);
  }

  #date(at: number): string {
    return ctime(at, this.#tool.runtime.clock.zoneMinutes(at));
  }

  #entryLines({ envelope, size, waiting }: QueueEntry): string[] {
    const numbers = [size, 0, envelope.recipients.length, 0, size, 0];
    const lines = [
      `message_size: ${numbers.map((number) => String(number).padStart(15)).join(" ")}`,
      `message_arrival_time: ${this.#date(envelope.arrived)}`,
      `create_time: ${this.#date(envelope.arrived)}`,
      ...envelopeAttributes(envelope),
      `sender: ${envelope.sender}`,
      ...clientAttributes(envelope.client),
      ...envelope.encoding === "" ? [] : [`named_attribute: encoding=${envelope.encoding}`],
    ];
    const open = new Set(waiting.map(({ index }) => index));
    for (const [index, recipient] of envelope.recipients.entries()) {
      const { address, original, originalRecipient, notify } = recipient;
      if (originalRecipient !== "") lines.push(`named_attribute: dsn_orig_rcpt=${originalRecipient}`);
      lines.push(...notifyAttribute(notify), `original_recipient: ${original || address}`);
      lines.push(`${open.has(index) ? "recipient" : "done"}: ${address}`);
    }
    return lines;
  }

  #droppedLines(dropped: Dropped, arrived: number): string[] {
    return [
      `message_arrival_time: ${this.#date(arrived)}`,
      ...envelopeAttributes(dropped),
      ...dropped.fullName === null ? [] : [`sender_fullname: ${dropped.fullName}`],
      ...dropped.sender === null ? [] : [`sender: ${dropped.sender}`],
      ...dropped.encoding === "" ? [] : [`named_attribute: encoding=${dropped.encoding}`],
      ...notifyAttribute(dropped.notify),
      ...dropped.recipients.map((address) => `recipient: ${address}`),
    ];
  }
}

function isHeaderLine(text: string): boolean {
  return /^[ \t]/.test(text) || headerNameLength(latin1Encode(text), 0, text.length) > 0;
}

function envelopeAttributes({ envid, ret }: Pick<Envelope, "envid" | "ret">): string[] {
  const lines: string[] = [];
  if (envid !== "") lines.push(`named_attribute: envelope_id=${envid}`);
  if (ret !== "") lines.push(`named_attribute: ret_flags=${ret === "full" ? 1 : 2}`);
  return lines;
}

/** Bits of Postfix's dsn_mask: never 1, success 2, failure 4, delay 8. */
function notifyAttribute(notify: Notify): string[] {
  if (notify.length === 0) return [];
  const bits = { never: 1, success: 2, failure: 4, delay: 8 };
  return [`named_attribute: notify_flags=${notify.reduce((sum, word) => sum + bits[word], 0)}`];
}

function clientAttributes(client: ClientOrigin): string[] {
  if (client.protocol === "") return [];
  const fields = [
    ["log_client_name", client.name],
    ["log_client_address", client.address],
    ["log_client_port", client.port],
    ["log_message_origin", `${client.name}[${client.address}]`],
    ["log_helo_name", client.helo],
    ["log_protocol_name", client.protocol],
  ];
  return fields.map(([name, value]) => `named_attribute: ${name}=${value}`);
}
