/**
 * The value of a rule: text with $1, ${1} or $(1) for what a group of the pattern matched, $$ for a dollar sign.
 * Source: regexp_table(5), pcre_table(5). What is wrong is said in Postfix's words and the rule is left out.
 */

export interface Value {
  /** Texts and group numbers in turn, beginning and ending with a text. */
  readonly texts: readonly string[];
  readonly groups: readonly number[];
  readonly highest: number;
}

const OPEN = ["(", "{"];
const CLOSE = [")", "}"];

/** Where the name between brackets ends, which nest; -1: never. */
function closingAt(text: string, start: number, kind: number): number {
  let level = 1;
  for (let at = start; at < text.length; at++) {
    if (text[at] === OPEN[kind]) level++;
    if (text[at] === CLOSE[kind] && --level === 0) return at;
  }
  return -1;
}

const isName = (code: number): boolean =>
  code >= 0x30 && code <= 0x39 || code >= 0x41 && code <= 0x5a || code >= 0x61 && code <= 0x7a || code === 0x5f;

/** `warn` takes what Postfix says about the text, `place` first where it says one; null: the rule cannot be used. */
export function readValue(
  type: "regexp" | "pcre",
  text: string,
  place: string,
  warn: (text: string) => void,
): Value | null {
  const texts: string[] = [];
  const groups: number[] = [];
  let literal = "";
  let faulty = false;
  let at = 0;
  while (at < text.length) {
    if (text[at] !== "$" || text[at + 1] === "$") {
      literal += text[at];
      at += text[at] === "$" ? 2 : 1;
      continue;
    }
    at++;
    const kind = OPEN.indexOf(text[at] ?? "");
    let name = "";
    if (kind >= 0) {
      const end = closingAt(text, at + 1, kind);
      if (end < 0) {
        warn(`truncated macro reference: "${text}"`);
        faulty = true;
        break;
      }
      name = text.slice(at + 1, end);
      at = end + 1;
    } else {
      const start = at;
      while (at < text.length && isName(text.charCodeAt(at))) at++;
      name = text.slice(start, at);
    }
    if (name === "") {
      warn(`empty macro name: "${text}"`);
      faulty = true;
      break;
    }
    const number = groupNumber(type, name, place, warn);
    if (number === null) faulty = true;
    else {
      texts.push(literal);
      groups.push(number);
      literal = "";
    }
  }
  texts.push(literal);
  return faulty ? null : { texts, groups, highest: Math.max(0, ...groups) };
}

function groupNumber(
  type: "regexp" | "pcre",
  name: string,
  place: string,
  warn: (text: string) => void,
): number | null {
  if (!/^[0-9]+$/.test(name)) {
    warn(`${place}: non-numeric replacement index "${name}"`);
    return null;
  }
  // atoi(3): what does not fit is cut to 32 bits.
  const number = Number(BigInt.asIntN(32, BigInt(name)));
  if (number >= 1) return number;
  const words = type === "pcre" ? "out of range" : "out-of-range";
  warn(`${place}: ${words} replacement index "${name}"`);
  return null;
}
