/**
 * postmap, postalias and newaliases beside Debian's: random tables built, listed and asked; every option and every
 * complaint by rows. Ours run in this very process. Names of database files are written alike before comparing.
 */

import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { currentRuntime } from "../../runtimes/select.ts";
import { postalias } from "../../src/commands/postalias.ts";
import { postmap } from "../../src/commands/postmap.ts";
import { newaliases } from "../../src/commands/sendmail.ts";
import { latin1Decode, latin1Encode, latin1Of, unicodeOf } from "../../src/latin1.ts";
import type { Command } from "../../src/main.ts";
import { foldUtf8 } from "../../src/maps/fold.ts";
import type { Processes, Runtime } from "../../src/runtime.ts";
import { type Chance, chanceOf, randomAliases, randomCidr, randomKeys, type RandomTable } from "../maps/table-texts.ts";
import { scriptCommand } from "../postrider.ts";
import { debianPostfix } from "./debian-postfix.ts";
import { SEED } from "../seed.ts";

interface Ran {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

const COMMANDS: Readonly<Record<string, Command>> = { postmap, postalias, newaliases };
const real = await currentRuntime();

async function ours(folder: string, command: string, words: readonly string[], input: string): Promise<Ran> {
  let [output, errors] = ["", ""];
  const own: Partial<Processes> = {
    environment: { ...process.env, MAIL_CONFIG: `${folder}/etc` },
    readInput: async function* () {
      await Promise.resolve();
      yield latin1Encode(input);
    },
    writeOutput: (bytes) => void (output += latin1Decode(bytes)),
    writeError: (bytes) => void (errors += latin1Decode(bytes)),
  };
  const runtime: Runtime = { ...real, processes: { ...real.processes!, ...own } };
  return { status: await COMMANDS[command]!(runtime, words), output, errors };
}

function debian(folder: string, command: string, words: readonly string[], input: string): Ran {
  const env = { ...process.env, MAIL_CONFIG: `${folder}/etc` };
  const { status, stdout, stderr } = spawnSync(command, words, { env, input: latin1Encode(input), maxBuffer: 1e9 });
  return { status, output: latin1Decode(stdout), errors: latin1Decode(stderr) };
}

/** Debian's sleep for a second before they end with a fatal error. */
function debianLater(folder: string, command: string, words: readonly string[], input: string): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, words, { env: { ...process.env, MAIL_CONFIG: `${folder}/etc` } });
    let [output, errors] = ["", ""];
    child.stdout.setEncoding("latin1").on("data", (text: string) => output += text);
    child.stderr.setEncoding("latin1").on("data", (text: string) => errors += text);
    child.stdin.on("error", () => {});
    child.stdin.end(input, "latin1");
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output, errors }));
  });
}

/** Ours write NAME.wmap where Postfix writes NAME.db, NAME.cdb or NAME.lmdb; lists come in another order. */
function plain({ status, output, errors }: Ran): Ran {
  return {
    status,
    output: output.replace(/^YP_LAST_MODIFIED:\t\d{10}$/m, "YP_LAST_MODIFIED:\tTIME").split("\n").sort().join("\n"),
    errors: errors.replace(/\.(?:db|cdb|wmap)\b/g, "").replaceAll("open database //", "open database /"),
  };
}

class Place {
  readonly folder = mkdtempSync(join(tmpdir(), "postrider-postmap-"));

  constructor() {
    mkdirSync(`${this.folder}/etc`);
    this.main("");
  }

  main(lines: string): void {
    writeFileSync(
      `${this.folder}/etc/main.cf`,
      `compatibility_level = 3.6\nmyhostname = mx.test.example\ninet_interfaces = 127.0.0.1\n${lines}\n`,
    );
    writeFileSync(`${this.folder}/etc/master.cf`, "");
  }

  /** An old time: Postfix reads a file that is not older than a second again and again. */
  write(name: string, text: string): string {
    const path = `${this.folder}/${name}`;
    writeFileSync(path, latin1Encode(text));
    const old = new Date("2020-01-01T00:00:00Z");
    utimesSync(path, old, old);
    return path;
  }

  async same(command: string, words: readonly string[], input: string, what: string): Promise<void> {
    const own = plain(await ours(this.folder, command, words, input));
    const theirs = plain(debian(this.folder, command, words, input));
    assert.deepEqual(own, theirs, `${what}: ${command} ${words.join(" ")}`);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** FOLDER is the place's folder. Command lines that change nothing; they run at the same time. */
const READING: readonly (readonly [command: string, words: string, input?: string])[] = [
  ["postmap", ""],
  ["postmap", "-q a"],
  ["postmap", "-d a"],
  ["postmap", "-s"],
  ["postmap", "-z"],
  ["postmap", "-q"],
  ["postmap", "-q a -d b hash:FOLDER/m"],
  ["postmap", "-s -q a hash:FOLDER/m"],
  ["postmap", "-q a -s hash:FOLDER/m"],
  ["postmap", "-m -q a hash:FOLDER/m"],
  ["postmap", "-m hash:FOLDER/m"],
  ["postmap", "-b hash:FOLDER/m"],
  ["postmap", "-m -q - hash:FOLDER/m", "a\n"],
  ["postmap", "-c /nonexistent -q a hash:FOLDER/m"],
  ["postmap", "-c FOLDER/etc -q a hash:FOLDER/m"],
  ["postmap", "-q A FOLDER/m"],
  ["postmap", "-q a hash:FOLDER/m lmdb:FOLDER/m"],
  ["postmap", "-q zz texthash:FOLDER/m static:x"],
  ["postmap", "-q - texthash:FOLDER/m cidr:FOLDER/c static:x", "a\n1.2.3.4\nzz\n\n"],
  ["postmap", "-q - hash:FOLDER/m", "zz\n"],
  ["postmap", "-q - hash:FOLDER/m", ""],
  ["postmap", "-q - hash:FOLDER/m", "a"],
  ["postmap", "-N -q a hash:FOLDER/m"],
  ["postmap", "-q a hash:FOLDER/none"],
  ["postmap", "-q a texthash:FOLDER/none"],
  ["postmap", "-q a cidr:FOLDER/none"],
  ["postmap", "-q a nosuch:FOLDER/m"],
  ["postmap", "-q a :x"],
  ["postmap", "-q a hash:"],
  ["postmap", "-q a fail:x"],
  ["postmap", "-q - fail:x", "a\n"],
  ["postmap", "-q a static:x"],
  ["postmap", "-q a inline:{a=b}"],
  ["postmap", "-s inline:{a=b}"],
  ["postmap", "-s static:x"],
  ["postmap", "-s fail:x"],
  ["postmap", "-s cidr:FOLDER/c"],
  ["postmap", "-s cdb:FOLDER/m"],
  ["postmap", "-s proxy:hash:FOLDER/m"],
  ["postmap", "-s hash:FOLDER/none"],
  ["postmap", "-s texthash:FOLDER/m"],
  ["postmap", "-s -r texthash:FOLDER/m"],
  ["postmap", "-s -w texthash:FOLDER/m"],
  ["postmap", "-F -s hash:FOLDER/f"],
  ["postmap", "-F -s texthash:FOLDER/f"],
  ["postmap", "-F -q k hash:FOLDER/f"],
  ["postmap", "-F -q k texthash:FOLDER/f"],
  ["postmap", "-q k hash:FOLDER/f"],
  ["postmap", "-F -q - cdb:FOLDER/f", "k\nbad\nzz\n"],
  ["postmap", "-F -q a hash:FOLDER/m"],
  ["postmap", "-F -s hash:FOLDER/one"],
  ["postmap", "-F -q 1.2.3.4 cidr:FOLDER/fc"],
  ["postmap", "-h -q - static:x", "A: b\n c\nD: e\n\nbody\n"],
  ["postmap", "-b -q - static:x", "A: b\n c\nD: e\n\nbody\n\xff\n"],
  ["postmap", "-hb -q - texthash:FOLDER/m", "A: b\n\na\n\xff\n"],
  ["postmap", "-Ub -q - texthash:FOLDER/m", "A: b\n\na\n\xff\n"],
  ["postmap", "-h -q - static:x", " x\nno header\n\nb\n"],
  ["postmap", "-hbm -q - static:x", "MESSAGE"],
  ["postmap", "-hm -q - static:x", "MESSAGE"],
  ["postmap", "-bm -q - static:x", "MESSAGE"],
  ["postmap", "texthash:FOLDER/m"],
  ["postmap", "cidr:FOLDER/c"],
  ["postmap", "static:FOLDER/m"],
  ["postmap", "nosuch:FOLDER/m"],
  ["postmap", "proxy:hash:FOLDER/m"],
  ["postmap", "hash:FOLDER/none"],
  ["postmap", "fail:FOLDER/m"],
  ["postmap", "hash:"],
  ["postmap", "-i cdb:FOLDER/m", "a 1\n"],
  ["postmap", "-i texthash:FOLDER/m", "a 1\n"],
  ["postmap", "-d a texthash:FOLDER/m"],
  ["postmap", "-d a cidr:FOLDER/c"],
  ["postmap", "-d a static:x"],
  ["postmap", "-d a fail:x"],
  ["postmap", "-d a cdb:FOLDER/m"],
  ["postmap", "-d a hash:FOLDER/none"],
  ["postmap", "-d a nosuch:x"],
  ["postmap", "-d zz hash:FOLDER/m"],
  ["postmap", "-d - hash:FOLDER/m", "zz\n\xff\n"],
  ["postalias", ""],
  ["postalias", "-z"],
  ["postalias", "-F hash:FOLDER/al"],
  ["postalias", "-b hash:FOLDER/al"],
  ["postalias", "-q a -s hash:FOLDER/al"],
  ["postalias", "-s -q a hash:FOLDER/al"],
  ["postalias", "-s"],
  ["postalias", "-q root hash:FOLDER/al"],
  ["postalias", "-q - hash:FOLDER/al", "ROOT\nzz\n@\n"],
  ["postalias", "-s hash:FOLDER/al"],
  ["postalias", "-s texthash:FOLDER/al"],
  ["postalias", "texthash:FOLDER/al"],
  ["postalias", "hash:FOLDER/none"],
  ["postalias", "nosuch:FOLDER/al"],
  ["postalias", "fail:x"],
  ["postalias", "-q x fail:x"],
  ["postalias", "-d zz hash:FOLDER/al"],
  ["newaliases", "x"],
  ["newaliases", "-oAFOLDER/none"],
];

/** One after the other: each works on what the one before it left. */
const CHANGING: readonly (readonly [command: string, words: string, input?: string])[] = [
  ["postmap", "hash:FOLDER/n btree:FOLDER/n2"],
  ["postmap", "-i hash:FOLDER/n", "a 9\nc 3\nbad\n"],
  ["postmap", "-s hash:FOLDER/n"],
  ["postmap", "-ir hash:FOLDER/n", "a 9\nd 4\n"],
  ["postmap", "-iw hash:FOLDER/n", "a 8\ne 5\n"],
  ["postmap", "-s hash:FOLDER/n"],
  ["postmap", "-d A hash:FOLDER/n btree:FOLDER/n2"],
  ["postmap", "-fd B hash:FOLDER/n"],
  ["postmap", "-d - hash:FOLDER/n", "b\nzz\n\xff\n"],
  ["postmap", "-s hash:FOLDER/n"],
  ["postmap", "-s btree:FOLDER/n2"],
  ["postmap", "-i hash:FOLDER/new", "x 1\n"],
  ["postmap", "-s hash:FOLDER/new"],
  ["postmap", "-N hash:FOLDER/n"],
  ["postmap", "-n -f hash:FOLDER/m"],
  ["postmap", "-f -s hash:FOLDER/m"],
  ["postmap", "-f -q A hash:FOLDER/m"],
  ["postmap", "-q A hash:FOLDER/m"],
  ["postmap", "-rw lmdb:FOLDER/m"],
  ["postmap", "-s lmdb:FOLDER/m"],
  ["postalias", "-r hash:FOLDER/al"],
  ["postalias", "-s hash:FOLDER/al"],
  ["postalias", "-i hash:FOLDER/al", "root: x\nnew: y\n"],
  ["postalias", "-ir hash:FOLDER/al", "root: x\n"],
  ["postalias", "-d Root hash:FOLDER/al"],
  ["postalias", "-w -f -o -p lmdb:FOLDER/al"],
  ["postalias", "-f -s lmdb:FOLDER/al"],
  ["newaliases", ""],
  ["postalias", "-s lmdb:FOLDER/al"],
  ["newaliases", "-oAFOLDER/n"],
];

/** What ours answer in another way, and why. */
const DIFFERENT: readonly (readonly [words: string, theirs: RegExp, own: RegExp, reason: string])[] = [
  ["-q a hash:FOLDER/text", /open database .*text\.db: No such file/, /^1\n$/, "the text is read when it has no image"],
  ["-q a dbm:FOLDER/text", /unsupported dictionary type: dbm/, /^1\n$/, "dbm: and sdbm: are read as hash: is"],
  [
    "-q a hash:FOLDER/stale",
    /^1\n$/,
    /^2\n$/,
    "a changed text counts at once",
  ],
  ["hash:FOLDER/etc", /^$/, /etc: Is a directory/, "a folder is no table"],
  ["-v -q a texthash:FOLDER/text", /dict_open/, /^1\n$/, "-v adds nothing"],
];

const MESSAGE =
  "Subject: foo\n bar\nContent-Type: multipart/mixed; boundary=b\n\npre\n--b\nContent-Type: text/plain\n\n" +
  "body1\n--b\nContent-Type: message/rfc822\n\nSubject: inner\n\ninner body\n--b\n\nno headers\n--b--\nepi\n";

const COUNT = process.versions.bun !== undefined || process.versions.deno !== undefined ? 100 : 1000;

type Kind = readonly [type: string, command: string, make: (chance: Chance) => RandomTable];
const KINDS: readonly Kind[] = [
  ["hash", "postmap", randomKeys],
  ["cidr", "postmap", randomCidr],
  ["texthash", "postmap", randomKeys],
  ["hash", "postalias", randomAliases],
  ["cidr", "postmap", randomCidr],
  ["lmdb", "postmap", randomKeys],
  ["cidr", "postmap", randomCidr],
  ["cdb", "postmap", randomKeys],
  ["lmdb", "postalias", randomAliases],
  ["cidr", "postmap", randomCidr],
];
const FLAGS = [[], [], [], ["-f"], ["-u"], ["-r"], ["-w"]];

describe("tables beside Debian's", { skip: debianPostfix ? false : "needs root and Debian's postfix" }, () => {
  const place = new Place();
  const asked: Promise<readonly [Ran, Ran]>[] = [];
  const wordsOf = (words: string): string[] =>
    words.replaceAll("FOLDER", place.folder).split(" ").filter((word) => word !== "");
  before(async () => {
    execFileSync("chmod", ["755", place.folder]);
    place.main(`alias_database = hash:${place.folder}/al, lmdb:${place.folder}/al`);
    place.write("m", 'a 1\nA 2\nb: x\n"q x" y\n');
    place.write("n", "a 1\nb 2\n");
    place.write("n2", "a 1\nb 2\n");
    place.write("c", "1.2.3.4 four\n::/0 six\n");
    place.write("f", `k ${place.folder}/n,${place.folder}/n2\nbad /nonexistent\n`);
    place.write("fc", `1.2.3.4 ${place.folder}/n\nif 1.0.0.0/8\n1.2.3.5 /nonexistent\nendif\n1.2.3 x\n`);
    place.write("al", 'root: bob\n"a b": x@y, "c d"@e\nFoo: x\nfoo: y\nx@y: z\n');
    place.write("text", "a 1\n");
    place.write("one", "a 1\n");
    for (const words of ["hash:one", "hash:m", "cdb:m", "lmdb:m", "-F hash:f", "-F cdb:f"]) {
      const line = words.replace(":", `:${place.folder}/`).split(" ");
      await ours(place.folder, "postmap", line, "");
      debian(place.folder, "postmap", line, "");
    }
    await ours(place.folder, "postalias", [`hash:${place.folder}/al`], "");
    debian(place.folder, "postalias", [`hash:${place.folder}/al`], "");
    for (const [command, words, input = ""] of READING) {
      const text = input === "MESSAGE" ? MESSAGE : input;
      asked.push(Promise.all([
        ours(place.folder, command, wordsOf(words), text),
        debianLater(place.folder, command, wordsOf(words), text),
      ]));
    }
    await Promise.all(asked);
  });
  after(() => place.remove());

  for (const [index, [command, words, input = ""]] of READING.entries()) {
    it(`${command} ${words} ${JSON.stringify(input)} says the same`, async () => {
      const [own, theirs] = await asked[index]!;
      assert.deepEqual(plain(own), plain(theirs));
    });
  }

  for (const [command, words, input = ""] of CHANGING) {
    it(`${command} ${words} ${JSON.stringify(input)} does the same`, async () => {
      await place.same(command, wordsOf(words), input, words);
    });
  }

  for (const [words, theirs, own, reason] of DIFFERENT) {
    it(`postmap ${words} differs: ${reason}`, async () => {
      if (words.includes("stale")) {
        place.write("stale", "a 1\n");
        debian(place.folder, "postmap", [`hash:${place.folder}/stale`], "");
        await ours(place.folder, "postmap", [`hash:${place.folder}/stale`], "");
        writeFileSync(`${place.folder}/stale`, "a 2\n");
        const later = new Date(Date.now() + 5000);
        utimesSync(`${place.folder}/stale`, later, later);
      }
      const line = wordsOf(words);
      const [mine, debians] = [
        await ours(place.folder, "postmap", line, ""),
        debian(place.folder, "postmap", line, ""),
      ];
      assert.match(debians.errors + debians.output, theirs);
      assert.match(mine.output + mine.errors, own);
    });
  }

  it("a table of another owner is built as that owner", async () => {
    const path = place.write("owned", "a 1\n");
    execFileSync("chown", ["nobody:nogroup", path]);
    execFileSync("chmod", ["777", place.folder]);
    const { command, arguments: before } = scriptCommand("bin/postrider.ts");
    const child = spawnSync(command, [...before, "postmap", "-c", `${place.folder}/etc`, `hash:${path}`], {
      env: { ...process.env, HOME: "/tmp", DENO_DIR: "/tmp/deno-of-nobody" },
    });
    assert.equal(String(child.stderr), "");
    const { uid, gid, mode } = statSync(`${path}.wmap`);
    assert.deepEqual({ uid, gid, mode: mode & 0o777 }, {
      uid: statSync(path).uid,
      gid: statSync(path).gid,
      mode: 0o644,
    });
  });

  it(`folds every character as Debian's do`, () => {
    const lines: string[] = [];
    for (let code = 0x80; code <= 0x2ffff; code++) {
      if (code < 0xd800 || code > 0xdfff) lines.push(`${code}-${String.fromCodePoint(code)}| v\n`);
    }
    const path = place.write("fold", latin1Of(lines.join("")));
    const { output } = debian(place.folder, "postmap", ["-s", `texthash:${path}`], "");
    const wrong = output.split("\n").filter((line) => {
      const code = parseInt(line, 10);
      if (line === "" || newer(code)) return false;
      const character = line.slice(line.indexOf("-") + 1, line.lastIndexOf("|"));
      return foldUtf8(latin1Of(String.fromCodePoint(code))) !== character;
    });
    assert.deepEqual(wrong, []);
  });

  it(`answers as Debian's do for ${COUNT} random tables, seed ${SEED}`, async () => {
    for (let index = 0; index < COUNT; index++) await compare(place, SEED + index, KINDS[index % KINDS.length]!, index);
  });
});

/** Capital letters that came with Unicode 16 and 17: each runtime and Debian's ICU have their own version. */
function newer(code: number): boolean {
  return code === 0x1c89 || code >= 0xa7cb && code <= 0xa7dc || code >= 0x10d50 && code <= 0x10d65 ||
    code >= 0x16ea0 && code <= 0x16eb8;
}

async function compare(place: Place, seed: number, [type, command, make]: Kind, index: number): Promise<void> {
  const chance = chanceOf(seed);
  const { text, keys } = make(chance);
  const flags = chance.pick(FLAGS);
  const path = place.write(`t${index % 50}`, text);
  const table = `${type}:${path}`;
  const what = `seed ${seed}, table ${JSON.stringify(text)}`;
  if (type !== "cidr" && type !== "texthash") await place.same(command, [...flags, table], "", what);
  if (type !== "cidr" && type !== "cdb") await place.same(command, [...flags, "-s", table], "", what);
  if (chance.below(8) === 0) await place.same(command, [...flags, "-q", unicodeOf(keys[0] ?? "x"), table], "", what);
  await place.same(command, [...flags, "-q", "-", table], `${keys.join("\n")}\n`, what);
}
