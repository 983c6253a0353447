/**
 * What was done to answer a question, as a tree of steps: which list ran, which restriction of it, which table was
 * asked for which key, what the name servers said. People get it as indented text, programs as it is.
 */

export type StepKind = "command" | "list" | "restriction" | "table" | "dns" | "log" | "rewrite" | "delivery";

export interface Step {
  readonly kind: StepKind;
  readonly what: string;
  /** What came of it; "" where there is nothing to tell. */
  result: string;
  /** File and line of the parameter, or of the entry that decided; "" when it stands in no file. */
  place: string;
  readonly steps: readonly Step[];
}

export class Trace {
  readonly steps: Step[] = [];
  readonly #open: { readonly step: Step; readonly inner: Step[] }[] = [];

  add(kind: StepKind, what: string, result = "", place = ""): void {
    this.#put({ kind, what, result, place, steps: [] });
  }

  /** What is added until the matching leave() belongs to this step. */
  enter(kind: StepKind, what: string, place = ""): void {
    const inner: Step[] = [];
    const step: Step = { kind, what, result: "", place, steps: inner };
    this.#put(step);
    this.#open.push({ step, inner });
  }

  leave(result: string, place = ""): void {
    const last = this.#open.pop();
    if (last === undefined) return;
    last.step.result = result;
    if (place !== "") last.step.place = place;
  }

  #put(step: Step): void {
    (this.#open.at(-1)?.inner ?? this.steps).push(step);
  }
}

const WORDS: Readonly<Record<StepKind, string>> = {
  command: "",
  list: "",
  restriction: "",
  table: "look up ",
  dns: "dns ",
  log: "log ",
  rewrite: "rewrite ",
  delivery: "deliver to ",
};

const SHOWN = 100;

/** One line, and no longer than people read. */
function short(text: string): string {
  const line = text.replaceAll(/\s*[\r\n]\s*/g, " ");
  return line.length > SHOWN ? `${line.slice(0, SHOWN)}...` : line;
}

/** A line for each step, with its place in brackets. */
export function traceText(steps: readonly Step[], depth = 0): string {
  return steps.map(({ kind, what, result, place, steps: inner }) => {
    const line = `${"  ".repeat(depth)}${WORDS[kind]}${kind === "table" ? short(what) : what}${
      result === "" ? "" : ` -> ${result}`
    }`;
    return `${line}${place === "" ? "" : `  [${place}]`}\n${traceText(inner, depth + 1)}`;
  }).join("");
}
