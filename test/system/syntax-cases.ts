/**
 * What the differential test of the command parser says: SMTP commands by chance, most of them wrong in some way. Lines
 * are Latin-1 text, one character a byte. The same seed gives the same lines.
 */

import { picker } from "./policy-cases.ts";

const LOCALS = ["a", "b", "a.b", ".a", "a.", "a..b", '"a b"', '"a"', '"a@b"', '"a\\"b"', '"a\\\\b"', '""', '"', "a\\@b"]
  .concat("a\\ b", "\\", "a\\", '"a"."b"', '"a".b', 'a"b"', "a%b", "a%b.example", "b!a", "b.example!a", "!a", "a!")
  .concat(
    "a+b",
    "a=b",
    "-a",
    "a:b",
    "a,b",
    "a;b",
    "(c)a",
    "a(c)",
    "a(c",
    "a)",
    "[a]",
    "a b",
    "\xc3\xa9",
    "\xe9",
    "a@b",
    "",
  )
  .concat(
    "postmaster",
    "a/b",
    "a'b",
    "{a}",
    "a|b",
    "a\tb",
    "a\x01b",
    "a\x7fb",
    '"a',
    'a"',
    '"a\\',
    "\\a",
    '"\xc3\xa9 x"',
  )
  .concat('"a%b.example"', '"b!a"', '"a@b.example"', "a%b%home.example");
const DOMAINS = ["b.example", "home.example", "b", "b.example.", "b..example", ".b.example", "-b.example", "b-.example"]
  .concat("b_c.example", "1.2.3.4", "[1.2.3.4]", "[1.2.3]", "[1.2.3.4", "1.2.3.4]", "[IPv6:::1]", "[ipv6:2001:db8::1]")
  .concat(
    "[IPv6:1]",
    "[IPv6:::1",
    "[::1]",
    "[]",
    "[",
    "]",
    "",
    ".",
    "..",
    "b c.example",
    "b(c).example",
    "\xc3\xa9.example",
  )
  .concat("\xe9.example", '"b".example', "b\\.example", "b@home.example", "b@c.example", "@b.example", "[127.0.0.1]")
  .concat("b.example:25", "b.example,c", "b;c", "B.EXAMPLE", "1.b", "b.1", "[1.2.3.4].example", "[a b]", "[ 1.2.3.4 ]")
  .concat(
    "[300.1.1.1]",
    "[01.2.3.4]",
    "[IPv6:::ffff:1.2.3.4]",
    "[IPv6:1::2::3]",
    "[x:1.2.3.4]",
    "[1.2.3.4\\]",
    "b .example",
  )
  .concat("mx.test.example", "b%c", `${"b".repeat(64)}.example`, `${"b".repeat(63)}.example`, "b!c.example");
const ALPHABET = [
  "<",
  ">",
  "@",
  '"',
  "\\",
  " ",
  "\t",
  ",",
  ";",
  ":",
  "(",
  ")",
  "[",
  "]",
  ".",
  "a",
  "b",
  "%",
  "!",
  "+",
  "=",
]
  .concat(
    "a@b.example",
    "b.example",
    "@home.example",
    "[1.2.3.4]",
    '"a"',
    "\x80",
    "\xff",
    "\xc3\xa9",
    "\x01",
    "\x0b",
    "\r",
  );
const ROUTES = [
  "@c.example:",
  "@c.example,@d.example:",
  "@:",
  "@c:",
  "@c.example:@d.example:",
  ":",
  "c:",
  "@c.example",
  "@\\:",
]
  .concat("@[1.2.3.4]:", '"@c":', " @c.example:", "@c.example,", '@"c:d":', "(c)@c.example:", "@(c:d):");
const WRAPS = ["<X>", "<X>", "<X>", "<X>", "<X>", "<X>", "X", "<X", "X>", "<<X>>", "<X>>", "<<X>", "< X >", "name <X>"]
  .concat(
    "(c) <X>",
    "<X> (c)",
    "<X>(c)",
    '"name" <X>',
    "<(c)X>",
    "<X(c)>",
    "(c)<X>",
    "name<X>",
    '"name"<X>',
    "<X>x",
    "x<X>",
  )
  .concat(
    "<X><X>",
    "<X>,<X>",
    "<X> <X>",
    "<X>;",
    "g:<X>;",
    "<g:X;>",
    "<X,X>",
    "<>X",
    "X<>",
    "\\<X>",
    "<X\\>",
    '"<X>"',
    "(<X>",
  )
  .concat("[<X>]", "<X>,", ",<X>", "<X;>", '<X>"', '"<X>', "<\tX>", "a.b <X>", "<X> SIZE", "<a> <X>");

const NUMBERS = ["0", "1", "100", "10240001", "", "-1", "+1", "1x", "0x1", "01", "1e3", "9223372036854775807", "1.5"]
  .concat("9223372036854775808", "18446744073709551616", "99999999999999999999999", " 1", "1 ");
const XTEXTS = [
  "abc",
  "",
  "a+2Bb",
  "a+2bb",
  "a+2",
  "a+",
  "a+GGb",
  "a=b",
  "+00",
  "+0A",
  "+20",
  "+7F",
  "+C3+A9",
  "\xc3\xa9",
]
  .concat("a\\b", '"a b"', "<a>", "a".repeat(101), "a;b", "+", "++", "a+3Db", "(c)");
const ORCPTS = XTEXTS.flatMap((
  text,
) => [`rfc822;${text}`, `utf-8;${text}`, text, `;${text}`, `x;${text}`, `RFC822;${text}`])
  .concat("utf-8;\\x{E9}", "utf-8;\\x{110000}", "utf-8;\\x{}", "utf-8;a+2B", "rfc 822;a", "rfc822 ;a", "rfc822;;a");
const NOTIFIES = [
  "NEVER",
  "never",
  "SUCCESS",
  "FAILURE",
  "DELAY",
  "SUCCESS,FAILURE,DELAY",
  "NEVER,SUCCESS",
  "",
  ",",
  "X",
]
  .concat(
    "SUCCESS,",
    ",SUCCESS",
    "SUCCESS,,DELAY",
    "SUCCESS,SUCCESS",
    "SUCCESS;DELAY",
    "NEVER,NEVER",
    "success,Failure",
  );
const HELOS = [
  "client.example",
  "",
  "[127.0.0.1]",
  "a b",
  "a  b",
  "<a>",
  '"a b"',
  '"a',
  "a\x01b",
  "\xc3\xa9",
  "\xe9",
  "(c)",
]
  .concat(
    "a\tb",
    "\\",
    "-",
    "to:",
    "to:x",
    "a:b",
    "from:",
    "<a b> c",
    "a".repeat(600),
    "a\\b",
    "[",
    "a;b",
    "from:to: x",
  );
const VERBS = [
  "NOOP",
  "RSET",
  "QUIT",
  "DATA",
  "VRFY",
  "ETRN",
  "HELP",
  "EXPN",
  "TURN",
  "AUTH",
  "STARTTLS",
  "XCLIENT",
  "XFORWARD",
]
  .concat("MAIL", "RCPT", "BDAT", "HELO", "EHLO", "LHLO", "SEND", "", "MAIL FROM", "RCPT TO", "MAILFROM:<a@b.example>");
const TAILS = [
  "",
  "",
  " ",
  " x",
  " \t",
  " x y",
  "x",
  ":",
  ":x",
  " <a",
  ' "a',
  "\x01",
  "\x00",
  "\x00x",
  "\r",
  "\rx",
  " \xc3\xa9",
]
  .concat(" \xe9", "\x0b", "\x0cx", "\x85", "\xa0x", "\\", " \\", " from:", "\x1b[0m");
const BLANKS = ["", "", "", "", " ", "  ", "\t", "\x0b"];

export class Cases {
  readonly #pick: <T>(list: readonly T[]) => T;

  constructor(seed: number) {
    this.#pick = picker(seed);
  }

  /** Once in `times`. */
  once(times: number): boolean {
    return this.#pick(Array.from({ length: times }, (_, at) => at === 0));
  }

  #noise(most: number): string {
    const length = this.#pick(Array.from({ length: most }, (_, at) => at));
    return Array.from({ length }, () => this.#pick(ALPHABET)).join("");
  }

  /** One character less, more or other. */
  #mutated(text: string): string {
    const at = this.#pick(Array.from({ length: text.length + 1 }, (_, index) => index));
    const cut = this.#pick([0, 1, 1]);
    return text.slice(0, at) + (this.once(3) ? "" : this.#pick(ALPHABET)) + text.slice(at + cut);
  }

  address(): string {
    if (this.once(5)) return this.once(3) ? this.#noise(12) : `<${this.#noise(12)}>`;
    const local = this.#pick(LOCALS);
    const plain = this.once(8) ? local : `${local}@${this.#pick(this.once(2) ? DOMAINS : DOMAINS.slice(0, 2))}`;
    const routed = this.once(8) ? this.#pick(ROUTES) + plain : plain;
    const wrapped = this.#pick(this.once(2) ? WRAPS : ["<X>"]).replaceAll("X", () => routed);
    return this.once(5) ? this.#mutated(wrapped) : wrapped;
  }

  #mailParameter(): string {
    const pick = this.#pick;
    switch (pick([0, 0, 1, 2, 3, 3, 4, 5, 6])) {
      case 0:
        return `SIZE${pick(["=", "=", "=", "", " ", "=="])}${pick(NUMBERS)}`;
      case 1:
        return `BODY=${pick(["8BITMIME", "7BIT", "8bitmime", "BINARYMIME", "", "8BIT", " 7BIT"])}`;
      case 2:
        return `RET=${pick(["FULL", "HDRS", "hdrs", "", "X", "FULL,HDRS", "+46ULL"])}`;
      case 3:
        return `ENVID=${pick(XTEXTS)}`;
      case 4:
        return `AUTH${pick(["=", ""])}${pick(["<>", "a@b.example", "+3C", ""])}`;
      case 5:
        return `SMTPUTF8${pick(["", "", "=", "=1", "x"])}`;
      default:
        return this.#otherParameter();
    }
  }

  #otherParameter(): string {
    return this.#pick(
      ["X", "X=1", "=", "=1", "NOTIFY=NEVER", "RET=FULL", "REQUIRETLS", "<a@b.example>", '"', "<", "\\", "\x01"]
        .concat(
          "\xc3\xa9",
          "\xe9",
          "BY=1;R",
          "MT-PRIORITY=1",
          "HOLDFOR=1",
          "a".repeat(300),
          "size",
          "from:",
          "TO:x",
          "(c)",
        ),
    );
  }

  #rcptParameter(): string {
    const pick = this.#pick;
    switch (pick([0, 0, 1, 1, 2])) {
      case 0:
        return `NOTIFY=${pick(NOTIFIES)}`;
      case 1:
        return `ORCPT=${pick(ORCPTS)}`;
      default:
        return this.#otherParameter();
    }
  }

  #parameters(one: () => string): string {
    let text = "";
    for (let left = this.#pick([0, 0, 0, 1, 1, 2]); left > 0; left--) {
      const parameter = one();
      text += `${this.#pick([" ", " ", " ", "  ", "\t", " \t "])}${this.once(4) ? parameter.toLowerCase() : parameter}`;
      if (this.once(12)) text += ` ${parameter}`;
    }
    return text;
  }

  #command(verb: string, keyword: string, one: () => string): string {
    const blank = this.once(6) ? (): string => this.#pick(BLANKS) : (): string => "";
    const spelt = this.once(8) ? this.#pick([verb.toLowerCase(), `${verb[0]}${verb.slice(1).toLowerCase()}`]) : verb;
    const word = this.once(8) ? keyword.toLowerCase() : keyword;
    const lead = this.once(30) ? this.#pick(BLANKS) : "";
    const tail = this.once(30) ? this.#pick(TAILS) : "";
    return `${lead}${spelt} ${blank()}${word}${blank()}:${blank()}${this.address()}${this.#parameters(one)}${tail}`;
  }

  mail(): string {
    return this.#command("MAIL", "FROM", () => this.#mailParameter());
  }

  rcpt(): string {
    return this.#command("RCPT", "TO", () => this.#rcptParameter());
  }

  helo(): string {
    return `${this.#pick(["EHLO", "HELO", "ehlo"])} ${this.#pick(HELOS)}`;
  }

  /** Anything but what takes content. */
  other(): string {
    const pick = this.#pick;
    switch (pick([0, 1, 2, 3, 4, 5, 6])) {
      case 0:
        return this.helo();
      case 1:
        return `VRFY${pick([" ", " ", "  ", ""])}${this.address()}${pick(["", "", " SMTPUTF8", " x"])}`;
      case 2:
        return `ETRN ${pick(["", "@", "#", "!", " "])}${pick([...DOMAINS, ...LOCALS])}${pick(["", "", "", " x"])}`;
      case 3:
        return `DATA ${pick(["x", "<", '"', "from:", "\x01"])}`;
      case 4:
        return this.once(20) ? this.#long() : `${pick(BLANKS)}${this.#noise(10)}`;
      default: {
        const verb = pick(VERBS.filter((word) => word !== "DATA"));
        return `${this.once(4) ? pick(BLANKS) : ""}${this.once(4) ? verb.toLowerCase() : verb}${pick(TAILS)}`;
      }
    }
  }

  #long(): string {
    const pick = this.#pick;
    const long = pick([900, 2000, 2040, 2048, 2049, 3000, 70_000]);
    return pick([
      `MAIL FROM:<${"a".repeat(long)}@b.example>`,
      `MAIL FROM:<a@${"b.".repeat(long / 2)}example>`,
      `MAIL FROM:<a@b.example>${" X".repeat(long / 2)}`,
      `NOOP ${"a ".repeat(long / 2)}`,
      `VRFY ${"<".repeat(long)}`,
      `VRFY ${'"'.repeat(long)}`,
      `MAIL FROM:${"(".repeat(long)}`,
      `MAIL FROM:<${"@b.example,".repeat(long / 11)}:a@b.example>`,
      `HELO ${"a".repeat(long)}`,
      "x".repeat(long),
    ]);
  }

  /** Ends the connection. */
  bdat(): string {
    const last = this.#pick(["", " LAST", " last", " x", " LAST x", " <LAST>", ' "LAST"']);
    return `BDAT${this.#pick([" ", ""])}${
      this.#pick(["-1", "x", "", "1x", "0x0", "+0", "1.0", "99999999999999999999"])
    }${last}`;
  }
}
