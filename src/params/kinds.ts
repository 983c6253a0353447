/**
 * The kinds of main.cf values: how text becomes a typed value, and what is expected where it cannot.
 * Times are `number unit` with s m h d w; without a unit the one of the parameter's own default counts (postconf(5)).
 * Faults are returned as text, never thrown.
 */

import { wordsOutsideBraces } from "../logical-lines.ts";

/** One row of the parameter table. */
export interface Row {
  /**
   * string: text after $name expansion; raw: text whose $name are expanded where it is used; path: a file name;
   * list: words separated by comma or white space, braces keep one together; time: typed as milliseconds.
   */
  readonly kind: "string" | "raw" | "path" | "list" | "boolean" | "number" | "time" | "enum";
  /** A main.cf expression, as Postfix 3.12 has it. */
  readonly default: string;
  /** Of kind enum; of kind list, the words that it may have. */
  readonly values?: readonly string[];
  /** Least and greatest value; milliseconds for times. */
  readonly min?: number;
  readonly max?: number;
  /** How the default is found out at start, where `default` cannot say it. */
  readonly computed?: string;
  /** The default of the article of 2000 that Postrider implements, where it differs. */
  readonly seed?: string;
  /** Postrider's own parameter. */
  readonly own?: true;
  /** `transport_suffix`: stands for `NAME_suffix` of every master.cf service NAME that delivers mail. */
  readonly template?: true;
  /** An old name: understood, not listed. */
  readonly hidden?: true;
  /** Implemented; false: recognised only. */
  readonly ready: boolean;
  readonly doc?: string;
}

export type Parsed = { readonly value: unknown } | { readonly fault: string };

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

/** The unit that a time without one has: the last letter of the row's default. */
export function unitOf(row: Row): string {
  const last = row.default.slice(-1);
  return last in SECONDS ? last : "s";
}

function limits(row: Row, value: number, text: string, shown: (limit: number) => string): Parsed {
  if (row.min !== undefined && value < row.min) {
    return { fault: `bad value "${text}": expected ${shown(row.min)} or more` };
  }
  if (row.max !== undefined && value > row.max) {
    return { fault: `bad value "${text}": expected ${shown(row.max)} or less` };
  }
  return { value };
}

function parseTime(row: Row, text: string): Parsed {
  const match = /^([0-9]{1,12})([smhdw]?)$/.exec(text);
  if (match === null) {
    return { fault: `bad time value "${text}": expected a number and one of s, m, h, d, w (default ${unitOf(row)})` };
  }
  const value = Number(match[1]) * SECONDS[match[2] === "" ? unitOf(row) : match[2]!]! * 1000;
  return limits(row, value, text, (limit) => `${limit / 1000}s`);
}

function parseNumber(row: Row, text: string): Parsed {
  if (!/^[0-9]{1,15}$/.test(text)) return { fault: `bad number "${text}": expected digits` };
  return limits(row, Number(text), text, String);
}

/** `text` is expanded already, but for kind raw. */
export function parseValue(row: Row, text: string): Parsed {
  switch (row.kind) {
    case "string":
    case "raw":
    case "path":
      return { value: text };
    case "list": {
      const words = wordsOutsideBraces(text);
      const { values } = row;
      const unknown = values === undefined ? undefined : words.find((word) => !values.includes(word));
      if (unknown !== undefined) return { fault: `unknown value "${unknown}" in "${text}"` };
      return { value: Object.freeze(words) };
    }
    case "boolean": {
      const folded = text.toLowerCase();
      return folded === "yes" || folded === "no"
        ? { value: folded === "yes" }
        : { fault: `bad boolean value "${text}": expected yes or no` };
    }
    case "number":
      return parseNumber(row, text);
    case "time":
      return parseTime(row, text);
    case "enum":
      return row.values?.includes(text)
        ? { value: text }
        : { fault: `bad value "${text}": expected ${row.values?.join(", ")}` };
  }
}
