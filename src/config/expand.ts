/**
 * $name expressions of main.cf and master.cf values: `$name ${name} $(name) ${name?text} ${name:text} ${name?{a}:{b}}
 * ${{x} == {y} ? {a} : {b}} $$`, with == != < <= > >= and their `level` forms for compatibility_level.
 * Source: postconf(5). A fault of syntax or of endless recursion throws ExpandError, with Postfix's words.
 */

import { closingBrace } from "../logical-lines.ts";

export class ExpandError extends Error {
  override readonly name = "ExpandError";
  /** The name whose value is at fault; null: the text that was to be expanded. */
  of: string | null = null;
}

/** The unexpanded text of a name, or null when it is not defined. */
export type NameLookup = (name: string) => string | null;

const NESTING_LIMIT = 100;
const NAME = /[A-Za-z0-9_]*/y;
const OPERATOR = /==|!=|<=|>=|<|>/y;
const OPERATORS_EXPECTED = '"==" or "!="" or "<"" or "<="" or ">="" or ">" expected';

/** A piece of an expression being read. */
interface Cursor {
  readonly text: string;
  at: number;
}

function spaces(cursor: Cursor): void {
  while (/[ \t\r\n\f\v]/.test(cursor.text[cursor.at] ?? "")) cursor.at++;
}

function wrong(cursor: Cursor, what: string, at: number = cursor.at): ExpandError {
  const before = cursor.text.slice(Math.max(0, at - 20), at);
  return new ExpandError(`${what} at: "...${before}>>>${cursor.text.slice(at, at + 20)}"`);
}

/** Where the bracket that opens at `at` closes; only brackets of its own shape count. */
function closing(text: string, at: number): number {
  if (text[at] === "{") return closingBrace(text, at);
  let depth = 0;
  for (let index = at; index < text.length; index++) {
    if (text[index] === "(") depth++;
    else if (text[index] === ")" && --depth === 0) return index;
  }
  return -1;
}

/** Reads `{text}` at the cursor and the white space behind it. */
function braced(cursor: Cursor, what: string): string {
  const end = cursor.text[cursor.at] === "{" ? closingBrace(cursor.text, cursor.at) : -1;
  if (end < 0) throw wrong(cursor, what);
  const inner = cursor.text.slice(cursor.at + 1, end);
  cursor.at = end + 1;
  spaces(cursor);
  return inner;
}

/** The two texts that an expression chooses from, after `?` or `:`; both null when there are none. */
function choices(cursor: Cursor): { yes: string | null; no: string | null } {
  const mark = cursor.text[cursor.at];
  if (mark === undefined) return { yes: null, no: null };
  cursor.at++;
  const start = cursor.at;
  spaces(cursor);
  if (cursor.text[cursor.at] !== "{") {
    const rest = cursor.text.slice(start);
    return mark === "?" ? { yes: rest, no: "" } : { yes: "", no: rest };
  }
  const first = braced(cursor, '"{expression}" expected');
  if (mark === ":") {
    if (cursor.at < cursor.text.length) throw wrong(cursor, "unexpected input");
    return { yes: "", no: first };
  }
  if (cursor.at === cursor.text.length) return { yes: first, no: "" };
  if (cursor.text[cursor.at] !== ":") throw wrong(cursor, '":" expected');
  cursor.at++;
  const rest = cursor.text.slice(cursor.at);
  spaces(cursor);
  if (cursor.text[cursor.at] !== "{") return { yes: first, no: rest };
  const second = braced(cursor, '"{expression}" expected');
  if (cursor.at < cursor.text.length) throw wrong(cursor, "unexpected input");
  return { yes: first, no: second };
}

/** major[.minor[.patch]] as one number that can be compared. */
function level(text: string): number {
  const match = /^\s*([0-9]{1,4})(?:\.([0-9]{1,4}))?(?:\.([0-9]{1,4}))?\s*$/.exec(text);
  if (match === null) throw new ExpandError(`malformed compatibility level syntax: "${text}"`);
  return (Number(match[1]) * 1e4 + Number(match[2] ?? 0)) * 1e4 + Number(match[3] ?? 0);
}

function order<T>(left: T, right: T): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function compare(left: string, right: string, levels: boolean): number {
  if (levels) return order(level(left), level(right));
  const numeric = /^[0-9]+$/.test(left) && /^[0-9]+$/.test(right);
  return numeric ? order(BigInt(left), BigInt(right)) : order(left, right);
}

function holds(operator: string, difference: number): boolean {
  switch (operator) {
    case "==":
      return difference === 0;
    case "!=":
      return difference !== 0;
    case "<":
      return difference < 0;
    case "<=":
      return difference <= 0;
    case ">":
      return difference > 0;
    default:
      return difference >= 0;
  }
}

class Expander {
  readonly #lookup: NameLookup;
  constructor(lookup: NameLookup) {
    this.#lookup = lookup;
  }

  text(text: string, depth: number): string {
    let at = text.indexOf("$");
    if (at < 0) return text;
    let result = "";
    let from = 0;
    while (at >= 0) {
      result += text.slice(from, at);
      const next = text[at + 1];
      if (next === "$") {
        result += "$";
        from = at + 2;
      } else if (next === "{" || next === "(") {
        const end = closing(text, at + 1);
        if (end < 0) throw new ExpandError(`truncated macro reference: "${text}"`);
        result += this.#expression(text, { text: text.slice(at + 2, end).trimStart(), at: 0 }, depth);
        from = end + 1;
      } else {
        NAME.lastIndex = at + 1;
        const name = NAME.exec(text)![0];
        if (name === "") throw new ExpandError(`empty macro name: "${text}"`);
        result += this.#value(name, depth);
        from = at + 1 + name.length;
      }
      at = text.indexOf("$", from);
    }
    return result + text.slice(from);
  }

  #value(name: string, depth: number): string {
    const value = this.#lookup(name);
    if (value === null || value === "") return "";
    if (depth >= NESTING_LIMIT) throw new ExpandError(`unreasonable macro call nesting: "${name}"`);
    try {
      return this.text(value, depth + 1);
    } catch (caught) {
      if (caught instanceof ExpandError) caught.of ??= name;
      throw caught;
    }
  }

  #expression(whole: string, cursor: Cursor, depth: number): string {
    if (cursor.text === "") throw new ExpandError(`empty macro name: "${whole}"`);
    if (cursor.text[0] === "{") {
      const truth = this.#relation(cursor, depth);
      const { yes, no } = choices(cursor);
      return yes === null ? (truth ? "true" : "") : this.text(truth ? yes : no!, depth);
    }
    NAME.lastIndex = 0;
    const name = NAME.exec(cursor.text)![0];
    cursor.at = name.length;
    spaces(cursor);
    const mark = cursor.text[cursor.at];
    if (mark !== undefined && mark !== "?" && mark !== ":") {
      throw wrong(cursor, "attribute name syntax error", name.length);
    }
    const { yes, no } = choices(cursor);
    if (yes === null) return this.#value(name, depth);
    const set = (this.#lookup(name) ?? "") !== "";
    return this.text(set ? yes : no!, depth);
  }

  #relation(cursor: Cursor, depth: number): boolean {
    const left = braced(cursor, '"{expression}" expected');
    OPERATOR.lastIndex = cursor.at;
    const operator = OPERATOR.exec(cursor.text)?.[0];
    if (operator === undefined) throw wrong(cursor, OPERATORS_EXPECTED);
    cursor.at += operator.length;
    const suffix = /^[A-Za-z]*/.exec(cursor.text.slice(cursor.at))![0];
    if (suffix !== "" && suffix !== "level") throw wrong(cursor, "bad operator suffix");
    cursor.at += suffix.length;
    const behind = cursor.at;
    spaces(cursor);
    if (cursor.text[cursor.at] !== "{") throw wrong(cursor, '"{expression}" expected', behind);
    const right = braced(cursor, '"{expression}" expected');
    const mark = cursor.text[cursor.at];
    if (mark !== undefined && mark !== "?" && mark !== ":") throw wrong(cursor, '"?" or ":" expected');
    return holds(operator, compare(this.text(left, depth), this.text(right, depth), suffix === "level"));
  }
}

/** Throws ExpandError. A name that is not defined counts as empty. */
export function expand(text: string, lookup: NameLookup): string {
  return new Expander(lookup).text(text, 0);
}

/** Names that a value refers to, in the order of their appearance. */
export function namesIn(text: string): string[] {
  const names: string[] = [];
  for (const match of text.replaceAll("$$", "").matchAll(/\$[{(]?\s*([A-Za-z0-9_]+)/g)) names.push(match[1]!);
  return names;
}
