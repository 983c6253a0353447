/** Random texts of tables and keys to ask them, from a seed, with what goes wrong in them. */

export interface Chance {
  below(limit: number): number;
  pick<T>(items: readonly T[]): T;
}

export function chanceOf(seed: number): Chance {
  let state = seed | 0;
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) % limit;
  };
  return { below, pick: (items) => items[below(items.length)]! };
}

export interface RandomTable {
  readonly text: string;
  readonly keys: readonly string[];
}

const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);

const WORDS = ["a", "B", "foo", "Foo", "user@Dom.example", "user+x@dom.example", "@dom", ".dom.example", "10.1.2.3"];
const ODD = ['"a b"', '"Q\\"r"', "a\\ b", "x\\", '"open', 'mid"dle', 'a"b c"d', "tail:", ":", "[1.2.3.4]", "#no", "\\"];
const EIGHT = [
  "\xc3\xa4",
  "\xc3\x84X",
  "\xe4",
  "\xff",
  "stra\xc3\x9fe",
  "\xf0\x9f\x98\x80",
  "\xed\xa0\x80",
  "\xc0\x80",
];

function word(chance: Chance): string {
  const kind = chance.below(20);
  if (kind < 12) return chance.pick(WORDS) + (chance.below(3) === 0 ? String(chance.below(20)) : "");
  if (kind < 16) return chance.pick(ODD);
  if (kind < 19) return times(1 + chance.below(8), () => chance.pick([..."abXYZ09.-_"])).join("");
  return chance.pick(EIGHT) + chance.pick(WORDS);
}

const SPACES = [" ", "\t", "  ", " \t ", "\v", "\f", "\r "];
const ENDS = [
  "\n",
  "\n",
  "\n",
  "\n",
  " \n",
  "\r\n",
  "\n\n",
  "\n#c\n",
  "\n  #c\n",
  "\n \t\n",
  "\n  more\n",
  "\n\tx y \n",
];

export function randomKeys(chance: Chance): RandomTable {
  const used: string[] = [];
  const line = (): string => {
    const key = word(chance);
    used.push(key);
    const value = times(1 + chance.below(3), () => word(chance)).join(" ");
    if (chance.below(12) === 0) return key + chance.pick(ENDS);
    return key + chance.pick(SPACES) + value + chance.pick(ENDS);
  };
  const before = chance.pick([
    "",
    "",
    "",
    "# top\n",
    "\n",
    "  lead text\n",
    "  a line that is longer than thirty characters\n",
  ]);
  const text = before + times(chance.below(14), line).join("");
  const keys = [...used, ...times(6, () => word(chance))].map((key) => chance.below(4) === 0 ? key.toUpperCase() : key);
  return { text: chance.below(6) === 0 ? text.trimEnd() : text, keys: keys.filter((key) => key !== "") };
}

const NAMES = [
  "root",
  "Foo",
  "bar",
  '"a b"',
  "a\\ b",
  "(c) x",
  "x@y",
  "x%y",
  "a,b",
  "[lit]",
  "|p",
  '""',
  "a.b",
  "é",
  "\xff",
];
const VALUES = [
  "bob",
  '"|/bin/prog arg"',
  "/file/x",
  ":include:/etc/list",
  "Joe User <joe@x>",
  '"q\\"uoted" x',
  "a:b;c",
  "(co (mm) ent) x",
  "back\\\\slash",
  '"unclosed',
  "[literal",
  "grp: a, b;",
  "\xc3\xa4",
  "\xe4",
  "<a@b>,c",
];

export function randomAliases(chance: Chance): RandomTable {
  const used: string[] = [];
  const line = (): string => {
    const key = chance.pick(NAMES) + (chance.below(3) === 0 ? String(chance.below(9)) : "");
    used.push(key.replaceAll('"', ""));
    const values = times(chance.below(4), () => chance.pick(VALUES)).join(chance.pick([", ", ",", " ", " , "]));
    return key + chance.pick([":", ": ", " : ", ":\t", " "]) + values + chance.pick(ENDS);
  };
  const text = times(chance.below(12), line).join("");
  return { text, keys: [...used, "@", "nobody", ...NAMES].filter((key) => key !== "") };
}

function octet(chance: Chance): number {
  return chance.pick([0, 1, 10, 127, 128, 192, 254, 255, chance.below(256)]);
}

function ipv6(chance: Chance): string {
  const group = (): string => chance.pick(["0", "1", "ffff", "db8", "2001", "00ab", chance.below(65536).toString(16)]);
  const kind = chance.below(6);
  if (kind === 0) return times(8, group).join(":");
  if (kind === 1) return `::ffff:${times(4, () => octet(chance)).join(".")}`;
  if (kind === 2) return `::${times(chance.below(7), group).join(":")}`;
  const [left, right] = [1 + chance.below(4), chance.below(4)];
  return `${times(left, group).join(":")}::${times(right, group).join(":")}`;
}

function ipv4(chance: Chance): string {
  return times(4, () => octet(chance)).join(".");
}

const BAD = [
  "1.2.3",
  "01.2.3.4",
  "1.2.3.256",
  "1.2.3.4.5",
  "1..2.3",
  ":",
  ":::",
  "1::2::3",
  "1:2:3:4:5:6:7:8:9",
  "g::",
  "1:2:3:4:5:6:7::",
  "1:2:3:4:5:6:7:8::",
  "::1.2.3",
  "::12345",
  "x",
  "1.2.3.4 ",
  "0x1.2.3.4",
  "1:",
  "::1:",
  "::1.2.3.4:5",
  "fe80::1%eth0",
];

export function address(chance: Chance): string {
  const kind = chance.below(20);
  return kind < 11 ? ipv4(chance) : kind < 18 ? ipv6(chance) : chance.pick(BAD);
}

/** The network with its host bits cleared, most times. */
function network(chance: Chance): string {
  if (chance.below(12) === 0) {
    return `${address(chance)}/${chance.pick(["8", "33", "129", "x", "", "0", "-1", "999999999"])}`;
  }
  if (chance.below(5) === 0) return address(chance);
  if (chance.below(3) === 0) {
    const bits = chance.pick([0, 1, 16, 17, 32, 48, 64, 65]);
    const high = times(4, () => chance.pick([0, 0x2001, 0xdb8, chance.below(65536)]));
    const groups = high.map((value, at) => {
      const keep = Math.max(0, Math.min(16, bits - at * 16));
      return (value & ((0xffff << (16 - keep)) & 0xffff)).toString(16);
    });
    return `${groups.join(":")}::/${bits}`;
  }
  const bits = chance.pick([0, 1, 7, 8, 9, 15, 16, 17, 24, 30, 31, 32]);
  const value = times(4, () => octet(chance)).reduce((sum, part) => sum * 256 + part, 0);
  const kept = bits === 0 ? 0 : Math.floor(value / 2 ** (32 - bits)) * 2 ** (32 - bits);
  return `${[24, 16, 8, 0].map((shift) => (kept / 2 ** shift) & 255).join(".")}/${bits}`;
}

function bracketed(chance: Chance, text: string): string {
  const kind = chance.below(14);
  if (kind === 0) return `[${text}]`;
  if (kind === 1) return `[${text.replace("/", "]/")}${text.includes("/") ? "" : "]"}`;
  if (kind === 2) return chance.pick([`[${text}`, `[${text}]x`, `${text}]`, "[]", "[]/3", "[/8]"]);
  return text;
}

export function randomCidr(chance: Chance): RandomTable {
  const used: string[] = [];
  const pattern = (): string => {
    const text = network(chance);
    used.push(text.replace(/\/.*/, ""));
    return chance.pick(["", "", "", "", "!", "!!", "! "]) + bracketed(chance, text);
  };
  const line = (index: number): string => {
    const kind = chance.below(24);
    if (kind < 3) return `${chance.pick(["if", "IF", "If "])} ${pattern()}${chance.pick(["", "", " ", " x"])}`;
    if (kind < 6) return chance.pick(["endif", "ENDIF", "endif ", "endif x", "endifx", "endif  # c"]);
    if (kind === 6) return chance.pick(["if", "if !", "!", "! ", "if  ", "!!x y", "ifx y", "if1 x"]);
    if (kind === 7) return pattern();
    return `${pattern()}${chance.pick(SPACES)}result ${index}`;
  };
  let index = 0;
  const text = chance.pick(["", "", "  lead\n"]) +
    times(chance.below(25), () => line(++index) + chance.pick(ENDS)).join("");
  const around = used.flatMap((key) => [key, key.replace(/\.\d+$/, ".7"), key.replace(/::$/, "::1")]);
  const keys = [...around, ...times(12, () => address(chance))];
  return { text, keys: keys.filter((key) => key !== "") };
}
