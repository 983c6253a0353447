/**
 * The text of master.cf as services: eight columns, `-` for a column's default, `-o name=value` and
 * `-o { name = value }` overrides. Source: master(5). Every faulty line is one fault, with Postfix's words.
 */

import { closingBrace, logicalLines } from "../logical-lines.ts";
import type { LogicalLine } from "../logical-lines.ts";
import type { Millis } from "../runtime.ts";
import { splitNameValue } from "./main-cf.ts";

export const SERVICE_TYPES = ["inet", "unix", "unix-dgram", "fifo", "pass"] as const;
export type ServiceType = (typeof SERVICE_TYPES)[number];

export interface Service {
  readonly name: string;
  readonly type: ServiceType;
  readonly private: boolean;
  readonly unprivileged: boolean;
  readonly chroot: boolean;
  /** Time between wake-ups; 0: none. */
  readonly wakeup: Millis;
  /** `60?`: no wake-up before the service was used. */
  readonly wakeupWhenUsed: boolean;
  /** Sessions or deliveries at a time; 0: no limit; null: default_process_limit. */
  readonly maxproc: number | null;
  readonly command: string;
  /** All words after the command, braces removed. */
  readonly arguments: readonly string[];
  /** The words after the options: for pipe(8) `flags=… user=… argv=…`. */
  readonly operands: readonly string[];
  /** -o settings, unexpanded; the last of several counts. */
  readonly overrides: ReadonlyMap<string, string>;
  /** -v was given. */
  readonly verbose: boolean;
  /** The columns as written. */
  readonly columns: readonly string[];
  readonly line: number;
}

export interface MasterCf {
  readonly services: readonly Service[];
  readonly warnings: readonly string[];
  readonly faults: readonly string[];
}

/** Words of a line; `{ a b }` is one word without its braces and the white space inside them. */
function splitWords(text: string, warn: (text: string) => void): string[] {
  const words: string[] = [];
  let at = 0;
  while (true) {
    while (/\s/.test(text[at] ?? "")) at++;
    if (at >= text.length) return words;
    if (text[at] !== "{") {
      const start = at;
      while (at < text.length && !/\s/.test(text[at]!)) at++;
      words.push(text.slice(start, at));
      continue;
    }
    const end = closingBrace(text, at);
    if (end < 0) {
      warn(`missing '}' in "${text.slice(at)}"`);
      words.push(text.slice(at + 1).trim());
      return words;
    }
    let behind = end + 1;
    while (behind < text.length && !/\s/.test(text[behind]!)) behind++;
    if (behind > end + 1) warn(`syntax error after '}' in "${text.slice(at, behind)}"`);
    words.push(text.slice(at + 1, end).trim());
    at = behind;
  }
}

/** Options of a daemon's command line that take an argument; the others stand alone. */
const WITH_ARGUMENT = "cilmnostu";

interface Options {
  readonly overrides: Map<string, string>;
  readonly operands: readonly string[];
  readonly verbose: boolean;
}

function readOptions(words: readonly string[], fault: (text: string) => void): Options {
  const overrides = new Map<string, string>();
  let verbose = false;
  let index = 0;
  for (; index < words.length; index++) {
    const word = words[index]!;
    if (word === "--") return { overrides, operands: words.slice(index + 1), verbose };
    if (word.length < 2 || word[0] !== "-") break;
    for (let at = 1; at < word.length; at++) {
      const letter = word[at]!;
      if (letter === "v") verbose = true;
      if (!WITH_ARGUMENT.includes(letter)) continue;
      const argument = at + 1 < word.length ? word.slice(at + 1) : words[++index] ?? "";
      if (letter === "o") {
        const split = splitNameValue(argument);
        if ("fault" in split) fault(`${split.fault}: "${argument}"`);
        else overrides.set(split.name, split.value);
      }
      break;
    }
  }
  return { overrides, operands: words.slice(index), verbose };
}

const FIELDS = ["private", "unprivileged", "chroot"] as const;

function parseLine(line: LogicalLine, warn: (text: string) => void, fault: (text: string) => void): Service | null {
  const words = splitWords(line.text, warn);
  if (words.length < 8) {
    fault("bad field count");
    return null;
  }
  let bad = false;
  const invalid = (field: string, value: string): void => {
    bad = true;
    fault(`invalid ${field} field "${value}" in "${line.text}"`);
  };
  const [name, type, , , , wakeup, maxproc, command] = words as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  if (!SERVICE_TYPES.includes(type as ServiceType)) invalid("type", type);
  const flags = FIELDS.map((field, index) => {
    const value = words[index + 2]!;
    if (value !== "y" && value !== "n" && value !== "-") invalid(field, value);
    return value === "-" ? field !== "chroot" : value === "y";
  });
  if (type === "inet" && flags[0] === true) invalid("private", `${words[2]}" (Internet services cannot be private)`);
  if (!/^(?:-|[0-9]{1,9}\??)$/.test(wakeup)) invalid("wakeup", wakeup);
  if (!/^(?:-|[0-9]{1,9})$/.test(maxproc)) invalid("process_limit", maxproc);
  const options = readOptions(words.slice(8), (text) => {
    bad = true;
    fault(text);
  });
  if (bad) return null;
  return {
    name,
    type: type as ServiceType,
    private: flags[0]!,
    unprivileged: flags[1]!,
    chroot: flags[2]!,
    wakeup: wakeup === "-" ? 0 : Number.parseInt(wakeup, 10) * 1000,
    wakeupWhenUsed: wakeup.endsWith("?"),
    maxproc: maxproc === "-" ? null : Number(maxproc),
    command,
    arguments: words.slice(8),
    ...options,
    columns: words.slice(0, 8),
    line: line.first,
  };
}

export function parseMasterCf(text: string, file: string): MasterCf {
  const services = new Map<string, Service>();
  const warnings: string[] = [];
  const faults: string[] = [];
  for (const line of logicalLines(text)) {
    if (/^\s/.test(line.text)) {
      warnings.push(`${file}: logical line must not start with whitespace: "${line.text}"`);
      continue;
    }
    const place = `${file}: line ${line.first}`;
    const service = parseLine(
      line,
      (text) => warnings.push(`${place}: ${text}`),
      (text) => faults.push(`${place}: ${text}`),
    );
    if (service === null) continue;
    const key = `${service.name}/${service.type}`;
    const earlier = services.get(key);
    if (earlier !== undefined) warnings.push(`${place}: overriding earlier entry: ${key} of line ${earlier.line}`);
    services.delete(key);
    services.set(key, service);
  }
  return { services: [...services.values()], warnings, faults };
}
