/**
 * qshape(1): waiting recipients (-s: senders) by domain and by the age of their messages, as Postfix's qshape.pl lays
 * them out. Operands are queues, each counted as often as it is named; incoming and active by default, as in Postfix.
 * Exit status 0; 1 for what is fatal.
 */

import { splitAddress } from "../address.ts";
import { type ListedEntry, listedEntry } from "../queue-list.ts";
import type { Runtime } from "../runtime.ts";
import { hasOption, lastValue } from "./getopt.ts";
import { QueueAccess } from "./queue-access.ts";
import { Fatal, runTool } from "./tool.ts";

const USAGE = "usage: qshape [-c config_dir] [-s] [-p] [-m min_subdomains] [-l] [-b bucket_count] [-t bucket_time] " +
  "[-w terminal_width] [-n batch_top_domains] [queue...]";
/** The last ones hold no mail, but in Postfix they are folders like the others. */
const QUEUES = new Set("maildrop incoming active deferred hold corrupt bounce defer trace flush saved".split(" "));
const DEFAULT_QUEUES = ["incoming", "active"];
const MINUTE = 60_000;
const NAME_WIDTH = 18;
const LINE_WIDTH = 80;

/** Upper bounds of the age columns in minutes: first, then twice as much each (or linear); the last has none. */
export function ageLimits(first: number, columns: number, linear = false): number[] {
  return Array.from({ length: columns - 1 }, (_, at) => linear ? first * (at + 1) : first * 2 ** at);
}

/** Of "a.b.example" ".b.example"; null: what is left would be a top level domain. */
function parentOf(domain: string): string | null {
  const parent = domain.replace(/^\.?[^.]+\.(.*\.)/, ".$1");
  return parent === domain ? null : parent;
}

export class Shape {
  readonly #limits: readonly number[];
  readonly #domains = new Map<string, number[]>();
  /** Parent domain -> how many domains next below it were seen. */
  readonly #below = new Map<string, number>();
  readonly #total: number[];
  /** Parent domains have rows when so many are below them; 0: none has. */
  readonly #leastBelow: number;

  constructor(limits: readonly number[], leastBelow = 0) {
    this.#limits = limits;
    this.#total = new Array<number>(limits.length + 2).fill(0);
    this.#leastBelow = leastBelow;
  }

  add(domain: string, minutes: number): void {
    const found = this.#limits.findIndex((limit) => minutes < limit);
    const column = (found < 0 ? this.#limits.length : found) + 1;
    count(this.#total, column);
    let isNew = false;
    for (let name: string | null = domain; name !== null; name = this.#leastBelow > 0 ? parentOf(name) : null) {
      let row = this.#domains.get(name);
      if (isNew) this.#below.set(name, (this.#below.get(name) ?? 0) + 1);
      isNew = row === undefined;
      if (row === undefined) this.#domains.set(name, row = new Array<number>(this.#limits.length + 2).fill(0));
      count(row, column);
    }
  }

  /** The domains with the most recipients first, at most `most` lines with the total. */
  text(most: number, width: number): string {
    const headings = ["T", ...this.#limits.map(String), `${this.#limits.at(-1) ?? 0}+`];
    const widths = headings.map((heading, at) => Math.max(heading.length, String(this.#total[at]).length, 2) + 1);
    const nameWidth = Math.max(NAME_WIDTH, width - widths.reduce((sum, cell) => sum + cell, 0));
    const line = (name: string, cells: readonly (string | number)[]): string => {
      const cut = name.startsWith(".") ? ".+" : "+";
      const shown = name.length > nameWidth
        ? cut + name.slice(name.length - nameWidth + cut.length)
        : name.padStart(nameWidth);
      return `${shown}${cells.map((cell, at) => String(cell).padStart(widths[at]!)).join("")}\n`;
    };
    const many = ([name]: [string, number[]]): boolean =>
      !name.startsWith(".") || (this.#below.get(name) ?? 0) >= this.#leastBelow;
    const rows = [...this.#domains].filter(many).sort(([a, left], [b, right]) =>
      right[0]! - left[0]! || a.length - b.length || (a < b ? -1 : 1)
    );
    return line("", headings) + line("TOTAL", this.#total) +
      rows.slice(0, most - 1).map(([name, counts]) => line(name, counts)).join("");
  }
}

function domainOf(address: string): string {
  return address === "MAILER-DAEMON" || address === "" ? "MAILER-DAEMON" : splitAddress(address).domain.toLowerCase();
}

function count(row: number[], column: number): void {
  row[0]!++;
  row[column]!++;
}

/** As Perl reads a number: what stands behind it is passed over, and what is none or not above zero is not meant. */
function numberOf(text: string | null, otherwise: number): number {
  const number = Number.parseFloat(text ?? "");
  return number > 0 && number < Number.MAX_SAFE_INTEGER ? number : otherwise;
}

export function qshape(runtime: Runtime, arguments_: readonly string[]): Promise<number> {
  return runTool(runtime, "qshape", 1, async (tool) => {
    const line = tool.options("c:spm:b:t:n:N:lw:", arguments_, USAGE);
    const config = tool.config(tool.directory(lastValue(line, "c")));
    const folder = `${config.queue_directory}/`;
    const named = line.operands.map((name) => name.startsWith(folder) ? name.slice(folder.length) : name);
    const unknown = named.find((name) => !QUEUES.has(name));
    if (unknown !== undefined) throw new Fatal(`no such queue: ${unknown}`);
    const queues = named.length > 0 ? named : DEFAULT_QUEUES;
    const columns = Math.max(1, Math.floor(numberOf(lastValue(line, "b"), 10)));
    const limits = ageLimits(numberOf(lastValue(line, "t"), 5), columns, hasOption(line, "l"));
    const shape = new Shape(limits, hasOption(line, "p") ? numberOf(lastValue(line, "m"), 5) : 0);
    const senders = hasOption(line, "s");
    const now = runtime.clock.now();
    const take = (entry: ListedEntry): void => {
      const addresses = senders ? [entry.sender] : entry.recipients.map(({ address }) => address);
      for (const queue of queues) {
        if (queue !== entry.queue) continue;
        for (const address of addresses) shape.add(domainOf(address), (now - entry.arrived) / MINUTE);
      }
    };
    await QueueAccess.prepare(tool, config, "anyone");
    const access = await QueueAccess.open(tool, config, "anyone");
    if (access === "down" || access === "denied") throw new Fatal("the queue is not open to this user");
    try {
      await access.ask({ request: "list" }, (value) => {
        const entry = listedEntry(value);
        if (entry !== null) take(entry);
      });
    } finally {
      await access.close();
    }
    const width = Math.max(LINE_WIDTH, numberOf(lastValue(line, "w"), LINE_WIDTH));
    tool.print(shape.text(numberOf(lastValue(line, "n"), Number.MAX_SAFE_INTEGER), width));
    return 0;
  });
}
