/**
 * qshape(1): waiting recipients (-s: senders) by domain and by the age of their messages, as Postfix's qshape.pl lays
 * them out. Operands are queues; incoming and active by default, as in Postfix.
 * Exit status 0; 1 for what is fatal.
 */

import { splitAddress } from "../address.ts";
import { type ListedEntry, listedEntry } from "../queue-list.ts";
import type { Runtime } from "../runtime.ts";
import { hasOption, lastValue } from "./getopt.ts";
import { QueueAccess } from "./queue-access.ts";
import { Fatal, runTool } from "./tool.ts";

const USAGE = "usage: qshape [-c config_dir] [-s] [-l] [-b bucket_count] [-t bucket_time] [-w terminal_width] " +
  "[-n batch_top_domains] [queue...]";
const QUEUES = new Set(["maildrop", "incoming", "active", "deferred", "hold"]);
const DEFAULT_QUEUES = ["incoming", "active"];
const MINUTE = 60_000;
const NAME_WIDTH = 18;
const LINE_WIDTH = 80;

/** Upper bounds of the age columns in minutes: first, then twice as much each (or linear); the last has none. */
export function ageLimits(first: number, columns: number, linear = false): number[] {
  return Array.from({ length: columns - 1 }, (_, at) => linear ? first * (at + 1) : first * 2 ** at);
}

export class Shape {
  readonly #limits: readonly number[];
  readonly #domains = new Map<string, number[]>();
  readonly #total: number[];

  constructor(limits: readonly number[]) {
    this.#limits = limits;
    this.#total = new Array<number>(limits.length + 2).fill(0);
  }

  add(domain: string, minutes: number): void {
    let row = this.#domains.get(domain);
    if (row === undefined) this.#domains.set(domain, row = new Array<number>(this.#limits.length + 2).fill(0));
    const found = this.#limits.findIndex((limit) => minutes < limit);
    const column = (found < 0 ? this.#limits.length : found) + 1;
    for (const line of [row, this.#total]) {
      line[0]!++;
      line[column]!++;
    }
  }

  /** The domains with the most recipients first, at most `most` lines with the total. */
  text(most: number, width: number): string {
    const headings = ["T", ...this.#limits.map(String), `${this.#limits.at(-1) ?? 0}+`];
    const widths = headings.map((heading, at) => Math.max(heading.length, String(this.#total[at]).length, 2) + 1);
    const nameWidth = Math.max(NAME_WIDTH, width - widths.reduce((sum, cell) => sum + cell, 0));
    const line = (name: string, cells: readonly (string | number)[]): string => {
      const shown = name.length > nameWidth ? `+${name.slice(name.length - nameWidth + 1)}` : name.padStart(nameWidth);
      return `${shown}${cells.map((cell, at) => String(cell).padStart(widths[at]!)).join("")}\n`;
    };
    const rows = [...this.#domains].sort(([a, left], [b, right]) =>
      right[0]! - left[0]! || a.length - b.length || (a < b ? -1 : 1)
    );
    return line("", headings) + line("TOTAL", this.#total) +
      rows.slice(0, most - 1).map(([name, counts]) => line(name, counts)).join("");
  }
}

function domainOf(address: string): string {
  return address === "MAILER-DAEMON" || address === "" ? "MAILER-DAEMON" : splitAddress(address).domain.toLowerCase();
}

function count(text: string | null, otherwise: number): number {
  if (text === null) return otherwise;
  if (!/^[0-9]{1,6}$/.test(text) || Number(text) < 1) throw new Fatal(USAGE);
  return Number(text);
}

export function qshape(runtime: Runtime, arguments_: readonly string[]): Promise<number> {
  return runTool(runtime, "qshape", 1, async (tool) => {
    const line = tool.options("c:sb:t:n:N:lw:", arguments_, USAGE);
    const config = tool.config(tool.directory(lastValue(line, "c")));
    const unknown = line.operands.find((name) => !QUEUES.has(name));
    if (unknown !== undefined) throw new Fatal(`no such queue: ${unknown}`);
    const queues = line.operands.length > 0 ? line.operands : DEFAULT_QUEUES;
    const columns = Math.max(2, count(lastValue(line, "b"), 10));
    const shape = new Shape(ageLimits(count(lastValue(line, "t"), 5), columns, hasOption(line, "l")));
    const senders = hasOption(line, "s");
    const now = runtime.clock.now();
    const take = (entry: ListedEntry): void => {
      if (!queues.includes(entry.queue)) return;
      const addresses = senders ? [entry.sender] : entry.recipients.map(({ address }) => address);
      for (const address of addresses) shape.add(domainOf(address), (now - entry.arrived) / MINUTE);
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
    const width = Math.max(LINE_WIDTH, count(lastValue(line, "w"), LINE_WIDTH));
    tool.print(shape.text(count(lastValue(line, "n"), Number.MAX_SAFE_INTEGER), width));
    return 0;
  });
}
