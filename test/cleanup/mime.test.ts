import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { simpleParser } from "mailparser";
import { MimeScanner } from "../../src/cleanup/mime.ts";
import { headerText } from "../../src/header.ts";
import { MIME_ERRORS, type MimeError, type MimeOptions, type Part } from "../../src/cleanup/mime-part.ts";
import { latin1Decode, latin1Encode } from "../../src/latin1.ts";
import { SEED } from "../seed.ts";

const OPTIONS: MimeOptions = {
  lineLimit: 2048,
  headerLimit: 102_400,
  boundaryLimit: 2048,
  nestingLimit: 100,
  flat: false,
  bodyLimit: Number.POSITIVE_INFINITY,
  report: new Set(),
};

/** "primary|A: 1", "end", "body text" and so on; body runs joined. */
function scanned(text: string, options: Partial<MimeOptions> = {}, cuts: readonly number[] = []): string[] {
  const parts: Part[] = [];
  const scanner = new MimeScanner({ ...OPTIONS, ...options }, (part) => void parts.push(part));
  const bytes = latin1Encode(text);
  let start = 0;
  for (
    const end of [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b)
  ) {
    if (end > start) scanner.push(bytes.slice(start, end));
    start = end;
  }
  scanner.end();
  const out: string[] = [];
  let body = "";
  const flush = (): void => {
    if (body !== "") out.push(`body|${body}`);
    body = "";
  };
  for (const part of parts) {
    if (part.kind === "body") {
      body += latin1Decode(part.bytes);
      continue;
    }
    flush();
    if (part.kind === "headers end") out.push("end");
    else if (part.kind === "fault") out.push(`${part.fault.error}|${part.fault.text}`);
    else if (part.kind === "entity") out.push(`entity|${part.content} ${part.encoding}`);
    else if (part.kind === "boundary") out.push("boundary");
    else {
      for (const { start, end, place, faults } of part.headers) {
        for (const fault of faults) out.push(`${fault.error}|${fault.text}`);
        out.push(`${place}|${headerText(part.block, start, end - 2)}`);
      }
    }
  }
  flush();
  return out;
}

const MULTI = "Content-Type: multipart/mixed; boundary=b";
const lines = (...all: readonly string[]): string => all.map((line) => `${line}\r\n`).join("");

describe("the parts of a message", () => {
  it("tells where entities begin and end, if asked to", () => {
    const text = lines(MULTI, "", "--b", "Content-Transfer-Encoding: 8bit", "", "x", "--b--");
    const told = scanned(text, { entities: true }).filter((line) => /^(entity|boundary)/.test(line));
    assert.deepEqual(told, ["entity|multipart 7bit", "boundary", "entity|text 8bit", "boundary"]);
  });

  const rows: readonly (readonly [string, string, readonly string[], Partial<MimeOptions>?])[] = [
    ["headers and body", lines("A: 1", "B : 2", "", "x"), ["primary|A: 1", "primary|B: 2", "end", "body|\r\nx\r\n"]],
    ["nothing", "", ["end"]],
    ["a folded header", lines("A: 1", " 2", "\t3", "", "x"), ["primary|A: 1\n 2\n\t3", "end", "body|\r\nx\r\n"]],
    ["a header about MIME", lines("Mime-Version: 1", ""), ["mime|Mime-Version: 1", "end", "body|\r\n"]],
    ["no header at all", lines("x y", "A: 1"), ["end", "body|\r\nx y\r\nA: 1\r\n"]],
    ["white space first", lines(" x", "A: 1"), ["end", "body|\r\n x\r\nA: 1\r\n"]],
    ["lines of a mailbox", lines("From a", ">From b", "A: 1", ""), [
      "primary|X-Mailbox-Line: From a",
      "primary|X-Mailbox-Line: >From b",
      "primary|A: 1",
      "end",
      "body|\r\n",
    ]],
    ["a multipart", lines(MULTI, "", "pre", "--b", "A: 1", "", "x", "--b--", "post"), [
      `mime|${MULTI}`,
      "end",
      "body|\r\npre\r\n--b\r\n",
      "mime|A: 1",
      "body|\r\nx\r\n--b--\r\npost\r\n",
    ]],
    ["an enclosed message", lines("Content-Type: message/rfc822", "", "A: 1", "Content-Id: x", "", "x"), [
      "mime|Content-Type: message/rfc822",
      "end",
      "body|\r\n",
      "nested|A: 1",
      "mime|Content-Id: x",
      "body|\r\nx\r\n",
    ]],
    ["an enclosed message in UTF-8", lines("Content-Type: message/global", "", "A: 1", ""), [
      "mime|Content-Type: message/global",
      "end",
      "body|\r\n",
      "nested|A: 1",
      "body|\r\n",
    ]],
    ["a digest", lines("Content-Type: multipart/digest; boundary=b", "", "--b", "", "A: 1", "", "--b--"), [
      "mime|Content-Type: multipart/digest; boundary=b",
      "end",
      "body|\r\n--b\r\n\r\n",
      "nested|A: 1",
      "body|\r\n--b--\r\n",
    ]],
    ["a part without an empty line", lines(MULTI, "", "--b", "A: 1", "no header", "B: 2"), [
      `mime|${MULTI}`,
      "end",
      "body|\r\n--b\r\n",
      "mime|A: 1",
      "body|no header\r\nB: 2\r\n",
    ]],
    ["a boundary that only begins the line", lines(MULTI, "", "--bcd", "A: 1"), [
      `mime|${MULTI}`,
      "end",
      "body|\r\n--bcd\r\n",
      "mime|A: 1",
    ]],
    ["the boundary of an outer multipart", lines(MULTI, "", "--b", MULTI.replace("=b", "=c"), "", "--b", "A: 1", ""), [
      `mime|${MULTI}`,
      "end",
      "body|\r\n--b\r\n",
      "mime|Content-Type: multipart/mixed; boundary=c",
      "body|\r\n--b\r\n",
      "mime|A: 1",
      "body|\r\n",
    ]],
    ["no boundary after the last one", lines(MULTI, "", "--b--", "--b", "A: 1"), [
      `mime|${MULTI}`,
      "end",
      "body|\r\n--b--\r\n--b\r\nA: 1\r\n",
    ]],
    ["no MIME", lines(MULTI, "", "--b", "A: 1"), [`mime|${MULTI}`, "end", "body|\r\n--b\r\nA: 1\r\n"], { flat: true }],
    ["a NUL ends a header line", lines("A: 1\0 2", " 3\0", ""), ["primary|A: 1\n 3", "end", "body|\r\n"]],
    ["a long header", lines(`A: ${"x".repeat(30)}`, " y", "B: 2", ""), [
      `primary|A: ${"x".repeat(17)}`,
      "primary|B: 2",
      "end",
      "body|\r\n",
    ], { headerLimit: 20 }],
    ["a long header line", lines(`A: ${"x".repeat(30)}`, "B: 2", ""), [
      `primary|A: ${"x".repeat(17)}`,
      "primary|B: 2",
      "end",
      "body|\r\n",
    ], { headerLimit: 20, lineLimit: 8 }],
    ["a boundary within a long line", lines(MULTI, "", `${"x".repeat(41)}--b`, "A: 1"), [
      `mime|${MULTI}`,
      "end",
      `body|\r\n${"x".repeat(41)}--b\r\nA: 1\r\n`,
    ], { lineLimit: 41 }],
    [
      "long boundaries are compared so far",
      lines("Content-Type: multipart/x; boundary=abcdef", "", "--abcxyz", "A: 1"),
      [
        "mime|Content-Type: multipart/x; boundary=abcdef",
        "end",
        "body|\r\n--abcxyz\r\n",
        "mime|A: 1",
      ],
      { boundaryLimit: 3 },
    ],
  ];
  for (const [name, text, expected, options] of rows) {
    it(name, () => {
      assert.deepEqual(scanned(text, options), expected);
      assert.deepEqual(scanned(text, options, [...text].map((_char, at) => at)), expected);
    });
  }
});

describe("what is wrong with a message", () => {
  const all = new Set(Object.keys(MIME_ERRORS) as MimeError[]);
  const rows: readonly (readonly [string, string, readonly string[], Partial<MimeOptions>?])[] = [
    ["8-bit header", lines("A: \xe4", "B: \xf6", ""), ["header8bit|A: \xe4"]],
    ["8-bit body", lines("A: 1", "", "\xe4", "\xf6"), ["body8bit|\xe4"]],
    ["announced 8-bit body", lines("Content-Transfer-Encoding: 8bit", "", "\xe4"), []],
    ["encoded multipart", lines(MULTI, "Content-Transfer-Encoding: base64", ""), ["domain|base64"]],
    ["8-bit multipart", lines(MULTI, "Content-Transfer-Encoding: 8bit", ""), []],
    ["another kind of message", lines("Content-Type: message/x", "Content-Transfer-Encoding: base64", ""), []],
    ["8-bit partial", lines("Content-Type: message/partial", "Content-Transfer-Encoding: 8bit", ""), ["domain|8bit"]],
    ["too deep", `${MULTI}\r\n`.repeat(4), [`nesting|${MULTI}`], { nestingLimit: 1 }],
    ["just not too deep", `${MULTI}\r\n`.repeat(3), [], { nestingLimit: 1 }],
  ];
  for (const [name, text, expected, options] of rows) {
    it(name, () => {
      const found = scanned(text, { ...options, report: all }).filter((line) => /^\w+/.exec(line)![0] in MIME_ERRORS);
      assert.deepEqual(found, expected);
      assert.equal(scanned(text, options).some((line) => /^\w+/.exec(line)![0] in MIME_ERRORS), false);
    });
  }
});

interface Entity {
  readonly text: string;
  readonly headers: readonly string[];
  readonly leaves: number;
}

/** A message of which we know what is in it. */
function entity(depth: number, below: (limit: number) => number, place: string): Entity {
  const id = below(1e9);
  const kind = depth === 0 ? 0 : below(4);
  const own = (type: string, ...more: readonly string[]): string[] => [`X-Id: ${id}`, ...more, `Content-Type: ${type}`];
  const listed = (headers: readonly string[]): string[] =>
    headers.map((line) => `${/^Content/.test(line) ? "mime" : place}|${line}`);
  if (kind < 2) {
    const headers = own("text/plain");
    const body = Array.from({ length: below(4) }, () => `text ${below(9)} -- x\r\n`).join("");
    return { text: lines(...headers, "") + body, headers: listed(headers), leaves: 1 };
  }
  if (kind === 2) {
    const inner = entity(depth - 1, below, "nested");
    const headers = own("message/rfc822");
    return { text: lines(...headers, "") + inner.text, headers: [...listed(headers), ...inner.headers], leaves: 1 };
  }
  const boundary = `=_${id}.${depth}`;
  const headers = own(`multipart/mixed; boundary="${boundary}"`);
  const parts = Array.from({ length: 1 + below(3) }, () => entity(depth - 1, below, "mime"));
  const text = parts.map((part) => `--${boundary}\r\n${part.text}\r\n`).join("");
  return {
    text: `${lines(...headers, "")}prologue\r\n${text}--${boundary}--\r\n`,
    headers: [...listed(headers), ...parts.flatMap((part) => part.headers)],
    leaves: parts.reduce((sum, part) => sum + part.leaves, 0),
  };
}

describe("random messages", () => {
  const random = fc.gen();

  it(`have the headers that were put into them, however they are cut (seed ${SEED})`, () => {
    fc.assert(
      fc.property(random, fc.array(fc.nat(9999), { maxLength: 8 }), (make, cuts) => {
        const made = entity(4, (limit) => make(fc.nat, { max: limit - 1 }), "primary");
        const found = scanned(made.text, {}, cuts);
        assert.deepEqual(found.filter((part) => /^(primary|mime|nested)/.test(part)), made.headers);
        const all = found.filter((part) => part !== "end").map((part) =>
          part.startsWith("body|") ? part.slice(5) : `${part.slice(part.indexOf("|") + 1)}\r\n`
        );
        assert.equal(all.join(""), made.text);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it(`have as many leaves as mailparser finds (seed ${SEED})`, async () => {
    await fc.assert(
      fc.asyncProperty(random, async (make) => {
        const made = entity(3, (limit) => make(fc.nat, { max: limit - 1 }), "primary");
        // mailparser reads an enclosed message as one attachment.
        const text = made.text.replaceAll("text/plain", "application/x-leaf");
        const { attachments } = await simpleParser(text, { skipTextToHtml: true, skipImageLinks: true });
        const leaves = scanned(text).filter((part) => part === "mime|Content-Type: application/x-leaf").length;
        const enclosed = scanned(text).some((part) => part === "mime|Content-Type: message/rfc822");
        if (!enclosed) assert.equal(attachments.length, leaves);
        if (!enclosed) assert.equal(leaves, made.leaves);
      }),
      { seed: SEED, numRuns: 40 },
    );
  });
});

describe("headers and bodies that need no looking at line by line", () => {
  const pieces = [
    "A: 1",
    "Subject: x",
    "From x",
    "Content-Type: multipart/mixed; boundary=b",
    'Content-Type: multipart/digest; boundary="bc"',
    "Content-Type: message/rfc822",
    "Content-Type: text/plain",
    "Content-Type: TEXT",
    "content-type : text/html",
    "Content-Transfer-Encoding: base64",
    "--b",
    "--bc--",
    "--b--",
    "-",
    "--",
    " more",
    "\tmore",
    "\0",
    "x",
    ":",
    "x".repeat(30),
    "--b" + "y".repeat(30),
    "A: " + "z".repeat(45),
    "\r\n",
    "\r\n",
    "\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
  ];
  const line = fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 60 }).map((some) => some.join(""));
  const start = fc.constantFrom("", "A: 1\r\n", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n");
  const limits = fc.constantFrom({}, { lineLimit: 20 }, { headerLimit: 60 }, { lineLimit: 32, headerLimit: 64 });

  it(`come out as if they had been (seed ${SEED})`, () => {
    const bytes = new Set<MimeError>(["header8bit", "body8bit", "nesting"]);
    fc.assert(
      fc.property(start, line, limits, fc.boolean(), fc.array(fc.nat(9999), { maxLength: 6 }), (...all) => {
        const [before, text, limit, flat, cuts] = all;
        const common = { ...limit, flat, entities: true as const, nestingLimit: 0 };
        const shortcut = { ...common, bodyLimit: 0, report: new Set<MimeError>(["nesting"]) };
        // A body outside of multiparts is not ended where the sender has not ended it.
        const content = `${before}${text}\r\n`;
        const slow = scanned(content, { ...common, report: bytes }, cuts);
        assert.deepEqual(scanned(content, shortcut, cuts), slow);
      }),
      { seed: SEED, numRuns: 5000 },
    );
  });
  it("the last line of a part is ended", () => {
    const before = lines(`Content-Type: multipart/mixed; boundary=b`, "", "x");
    for (const text of ["a", "-", "--", "ab\r", "a\r\n", `${"y".repeat(30)}`, "--b"]) {
      const all = Array.from({ length: before.length + text.length }, (_none, at) => at);
      for (const cuts of [[], all, all.filter((at) => at % 3 === 0)]) {
        const options = { lineLimit: 20, bodyLimit: 0 };
        const whole = scanned(before + text, { lineLimit: 20 });
        assert.deepEqual(scanned(before + text, options, cuts), whole, text);
        assert.match(whole.at(-1)!, text === "--b" ? /^end$|^body/ : /\r\n$/);
      }
    }
  });
});

describe("hostile content takes bounded time and memory", () => {
  /** Feeds it in pieces of 64 KB; the longest step in milliseconds, and the most that was handed on at once. */
  function fed(pieces: Iterable<string>, options: Partial<MimeOptions> = {}): { worst: number; largest: number } {
    let largest = 0;
    const scanner = new MimeScanner({ ...OPTIONS, ...options }, (part) => {
      largest = Math.max(
        largest,
        part.kind === "body" ? part.bytes.length : part.kind === "headers" ? part.block.length : 0,
      );
    });
    let worst = 0;
    for (const piece of pieces) {
      const bytes = latin1Encode(piece);
      for (let at = 0; at < bytes.length; at += 65_536) {
        const began = performance.now();
        scanner.push(bytes.subarray(at, at + 65_536));
        worst = Math.max(worst, performance.now() - began);
      }
    }
    scanner.end();
    return { worst, largest };
  }
  function* repeated(count: number, piece: (at: number) => string): Iterable<string> {
    let text = "";
    for (let at = 0; at < count; at++) {
      text += piece(at);
      if (text.length < 65_536) continue;
      yield text;
      text = "";
    }
    yield text;
  }
  const long = "x".repeat(1 << 20);
  const deep = (at: number): string => lines(`Content-Type: multipart/x; boundary=b${at}`, "", `--b${at}`);
  const boundary = "y".repeat(2040);
  const rows: readonly (readonly [string, () => Iterable<string>, Partial<MimeOptions>?])[] = [
    ["100,000 nested multiparts", () => repeated(100_000, deep)],
    ["a boundary of 10 MB", () => [`${MULTI}`, ...Array<string>(10).fill(long), "\r\n\r\n--b\r\n"]],
    ["one line of 20 MB", () => ["A: 1\r\n\r\n", ...Array<string>(20).fill(long)]],
    ["a header of 20 MB", () => ["A: ", ...Array<string>(20).fill(long), "\r\n\r\n"]],
    ["300,000 headers", () => repeated(300_000, (at) => `H${at}: x\r\n`)],
    ["a million empty lines", () => repeated(1_000_000, (at) => at === 0 ? "A: 1\r\n\r\n" : "\r\n")],
    ["lines that almost are one of 100 long boundaries", function* () {
      yield lines(
        `Content-Type: multipart/x; ${Array.from({ length: 100 }, (_, at) => `boundary=${boundary}${at}`).join("; ")}`,
        "",
      );
      yield* repeated(4_000, () => `--${boundary}x\r\n`);
    }, { headerLimit: 1 << 20 }],
    ["a header of folded lines", () => repeated(300_000, (at) => at === 0 ? "A: 1\r\n" : " x\r\n")],
  ];
  for (const [name, pieces, options] of rows) {
    it(name, () => {
      // The machine has other work too: the best of a few tries counts.
      let { worst, largest } = fed(pieces(), options);
      for (let tries = 0; tries < 3 && worst >= 50; tries++) ({ worst, largest } = fed(pieces(), options));
      assert.ok(worst < 50, `a step took ${worst} ms`);
      assert.ok(largest <= 256 * 1024 || options !== undefined, `${largest} bytes at once`);
    });
  }
});
