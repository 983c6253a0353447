/** Random regexp: and pcre: tables and keys for them, from a seed. */

export type Chance = (limit: number) => number;

/** Numbers below the limit, the same ones for the same seed. */
export function chanceOf(seed: number): Chance {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

const LETTERS = ["a", "b", "c", "A", "B", "ab", "1", "@", "-", ".", " ", "x", "é", "_"];
const SETS = ["[ab]", "[^a]", "[a-c]", "[[:alpha:]]", "[^[:digit:]]", "[]a]", "[a-]", "[b1.]", "[[:upper:]_]"];
const PCRE_ATOMS = ["\\d", "\\w", "\\s", "\\D", "\\W", "\\.", "\\x61", "\\h", "\\x{62}", "\\Qa.b\\E", "\\N", "\\R"];
const PCRE_PLACES = ["^", "$", "\\b", "\\B", "\\A", "\\z", "\\Z", "^", "$"];
const POSIX_ATOMS = ["\\w", "\\W", "\\s", "\\.", "\\a", "\\-"];
const POSIX_PLACES = ["^", "$", "\\b", "\\<", "\\>", "\\B", "^", "$"];
const BROKEN = [
  "(",
  ")",
  "[",
  "*",
  "a**",
  "[b-a]",
  "a{2,1}",
  "\\",
  "[[:foo:]]",
  "(?z)",
  "\\1",
  "a{",
  "|*",
  "(?<n",
  "\\c",
  "+",
];

const pick = <Item>(chance: Chance, items: readonly Item[]): Item => items[chance(items.length)]!;

export class Patterns {
  readonly #chance: Chance;
  readonly #pcre: boolean;
  /** How many repeated groups are open: glibc forgets anchors in the copies that it makes of them. */
  #repeated = 0;
  groups = 0;

  constructor(chance: Chance, pcre: boolean) {
    this.#chance = chance;
    this.#pcre = pcre;
  }

  pattern(depth: number): string {
    const branches = this.#chance(5) === 0 ? 2 + this.#chance(2) : 1;
    return Array.from({ length: branches }, () => this.#sequence(depth)).join("|");
  }

  #sequence(depth: number): string {
    return Array.from({ length: 1 + this.#chance(4) }, () => this.#part(depth)).join("");
  }

  #part(depth: number): string {
    const pcre = this.#pcre;
    const kind = this.#chance(14);
    if (kind < 4) return pick(this.#chance, LETTERS) + this.#repeat(8);
    if (kind === 4) return `.${this.#repeat(2)}`;
    if (kind === 5) return pick(this.#chance, SETS) + this.#repeat(3);
    if (kind === 6) return pick(this.#chance, pcre ? PCRE_ATOMS : POSIX_ATOMS) + this.#repeat(3);
    if (kind === 7 && (pcre || this.#repeated === 0)) return pick(this.#chance, pcre ? PCRE_PLACES : POSIX_PLACES);
    if (depth === 0) return pick(this.#chance, LETTERS);
    if (kind < 11) {
      this.groups++;
      const repeat = this.#repeat(3);
      if (repeat !== "") this.#repeated++;
      const group = `(${this.pattern(depth - 1)})${repeat}`;
      if (repeat !== "") this.#repeated--;
      return group;
    }
    if (!pcre) return pick(this.#chance, LETTERS);
    return this.#special(depth);
  }

  #special(depth: number): string {
    const kind = this.#chance(13);
    const inner = (): string => this.pattern(depth - 1);
    if (kind < 3) return `(?:${inner()})${this.#repeat(3)}`;
    if (kind === 3) return `(?=${inner()})`;
    if (kind === 4) return `(?!${inner()})`;
    if (kind === 5) return `(?<=${pick(this.#chance, ["a", "ab|c", "\\w", "[^b]"])})`;
    if (kind === 6) return `(?<!${pick(this.#chance, ["a", "^", "b|ca", "."])})`;
    if (kind === 7) return `(?>${inner()})${this.#repeat(3)}`;
    if (kind === 8 && this.groups > 0) return `\\${1 + this.#chance(this.groups)}`;
    if (kind === 9) return pick(this.#chance, ["(?i)", "(?-i)", "(?i:b)", "(?-i:A)", "(?s-i:.a)"]);
    if (kind === 10) {
      return `${pick(this.#chance, ["a", "[ab]", "\\w"])}${pick(this.#chance, ["*+", "++", "?+", "{1,2}+"])}`;
    }
    if (kind === 11 && this.groups > 0) return `(?(${1 + this.#chance(this.groups)})a|b)`;
    return pick(this.#chance, LETTERS);
  }

  #repeat(odds: number): string {
    if (this.#chance(odds) !== 0) return "";
    const repeat = pick(this.#chance, ["*", "+", "?", "{2}", "{1,2}", "{0,2}", "{2,}", "{0}"]);
    return repeat + (this.#pcre && this.#chance(4) === 0 ? "?" : "");
  }
}

const flagsOf = (chance: Chance, pcre: boolean): string =>
  chance(3) > 0
    ? ""
    : Array.from({ length: 1 + chance(2) }, () => pick(chance, [...(pcre ? "imsxAEUi" : "imi")])).join("");

function valueOf(chance: Chance, groups: number): string {
  const kind = chance(8);
  if (kind < 3 || groups === 0) return `value ${chance(100)}`;
  const group = (): string => pick(chance, ["$N", "${N}", "$(N)"]).replace("N", String(1 + chance(groups)));
  if (kind < 7) return `<${group()} ${group()}>`;
  return pick(chance, ["$$x", `a${group()}$$`, "$0", "${9}", "$x", "${1", "$", "$()"]);
}

/** A table of some rules; `faulty`: with rules that cannot be used. */
export function tableText(chance: Chance, pcre: boolean, faulty: boolean): string {
  const lines: string[] = [];
  let open = 0;
  const count = 1 + chance(8);
  for (let index = 0; index < count; index++) {
    const made = new Patterns(chance, pcre);
    const broken = faulty && chance(5) === 0;
    const text = broken ? made.pattern(1) + pick(chance, BROKEN) : made.pattern(2);
    const delimiter = chance(6) === 0 ? "~" : "/";
    const not = chance(6) === 0 ? "!" : "";
    const pattern = `${not}${delimiter}${text}${delimiter}${flagsOf(chance, pcre)}`;
    const kind = chance(12);
    if (kind < 2) {
      lines.push(`if ${pattern}${faulty && chance(9) === 0 ? " extra" : ""}`);
      open++;
    } else if (kind === 2 && (open > 0 || faulty)) {
      lines.push(pick(chance, ["endif", "ENDIF"]));
      open--;
    } else if (kind === 3 && faulty) {
      lines.push(
        pick(chance, ["# comment", "", "/x", "nonsense", "/a/q x", "/a/", " /a/ b", "endif x", "if", "!", "/b/X x"]),
      );
    } else if (kind === 4 && !pcre) {
      lines.push(`/${made.pattern(1)}/!/${made.pattern(1)}/ second`);
    } else {
      const space = chance(8) === 0 ? "\n  " : " ";
      lines.push(`${pattern}${space}${valueOf(chance, not === "" || faulty ? made.groups : 0)}`);
    }
  }
  if (!faulty) { for (; open > 0; open--) lines.push("endif"); }
  return `${lines.join("\n")}\n`;
}

export function keysOf(chance: Chance, count: number): string[] {
  const alphabet = ["a", "a", "b", "b", "c", "A", "B", "1", "@", "-", ".", " ", "x", "_", "\u00c3\u00a9"];
  return Array.from({ length: count }, () => Array.from({ length: chance(8) }, () => pick(chance, alphabet)).join(""));
}
