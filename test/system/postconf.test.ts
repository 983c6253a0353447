/**
 * Postrider's postconf beside Debian's: the defaults of implemented parameters, and random main.cf files.
 * POSTRIDER_TEST_SEED=number repeats a run.
 */

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, it } from "node:test";
import { rowOf } from "../../src/params.ts";
import { SEED } from "../seed.ts";
import { DEBIAN_POSTCONF, debians, ours } from "./run-postconf.ts";

const skip = existsSync(DEBIAN_POSTCONF) ? false : "Debian's postfix is not installed";

/** Defaults of implemented parameters that are meant to differ from Debian's 3.7.11. */
const WANTED: Readonly<Record<string, string>> = {
  compatibility_level: "new sites get the defaults of level 3.6",
  mynetworks: "host, not subnet, by compatibility_level",
  mail_name: "Postrider's own",
  mail_version: "Postrider's own",
  process_id: "another process",
  process_name: "another program",
  smtpd_forbid_bare_newline: "normalize since 3.9",
  smtpd_forbid_unauth_pipelining: "yes since 3.9",
};

/**
 * Each warning once: Debian's postconf reads the files several times. Its remarks about braces ("main.cf: …", without
 * the folder) come from a search for the parameters of database clients in all values.
 */
function warningsOf(errors: string): string[] {
  const lines = errors.split("\n").filter((line) => line !== "" && !line.includes("recognised, not implemented"));
  return [...new Set(lines)].filter((line) => !line.startsWith("postconf: warning: main.cf: ")).sort();
}

function settings(output: string): Map<string, string> {
  return new Map(
    output.split("\n").filter((line) => line !== "").map((line) => {
      const at = line.indexOf(" =");
      return [line.slice(0, at), line.slice(at + 2).trim()];
    }),
  );
}

describe("postconf -d beside Debian's", { skip }, () => {
  it("has the same defaults for what is implemented, but those listed", async () => {
    const wanted = settings((await debians(["-d"])).output);
    const got = settings((await ours(["-d"])).output);
    const different: string[] = [];
    for (const [name, value] of wanted) {
      if (name in WANTED || rowOf(name)?.ready === false) continue;
      if (got.get(name) !== value) different.push(`${name}: ${got.get(name)} instead of ${value}`);
    }
    assert.deepEqual(different, []);
  });
  it("lists only differences that are there", async () => {
    const wanted = settings((await debians(["-d"])).output);
    const got = settings((await ours(["-d"])).output);
    for (const name of Object.keys(WANTED)) assert.notEqual(got.get(name), wanted.get(name), name);
  });
  it("knows every name that Debian lists", async () => {
    const got = settings((await ours(["-d"])).output);
    assert.deepEqual([...settings((await debians(["-d"])).output).keys()].filter((name) => !got.has(name)), []);
  });
});

/** Numerical Recipes' generator: the same numbers for the same seed. */
function chance(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * limit);
  };
}

const SET = [
  "remote_header_rewrite_domain",
  "relayhost",
  "mydestination",
  "empty_address_recipient",
  "relay_domains",
  "virtual_transport",
  "double_bounce_sender",
];
const OWN = ["foo", "bar", "my_own", "x1"];
const SPACE = [" ", "  ", "\t", "\n  ", "\n# comment\n\t", "\n\n "];

class Writer {
  readonly #below: (limit: number) => number;
  constructor(below: (limit: number) => number) {
    this.#below = below;
  }

  #one<T>(list: readonly T[]): T {
    return list[this.#below(list.length)]!;
  }

  #name(): string {
    return this.#one([
      ...OWN,
      "nosuch",
      "mail_owner",
      "queue_directory",
      "notify_classes",
      "stress",
      "multi_instance_name",
    ]);
  }

  #word(): string {
    return this.#one(["a", "b.example", "10", "9", "010", "3.6", "{x}", "$$ ", "yes", ":", "?", "=", "/etc"]);
  }

  /** Text without unbalanced braces. */
  text(depth: number): string {
    let text = "";
    for (let count = this.#below(4); count > 0; count--) {
      text += depth > 0 && this.#below(2) === 0 ? this.#expression(depth - 1) : this.#word();
      if (this.#below(3) === 0) text += this.#one([" ", "  ", ","]);
    }
    return text;
  }

  #expression(depth: number): string {
    const gap = (): string => this.#one(["", "", " "]);
    const inner = (): string => `{${this.text(depth)}}`;
    const tail = (): string =>
      this.#one([
        () => `?${inner()}${gap()}:${gap()}${inner()}`,
        () => `?${gap()}${inner()}`,
        () => `:${inner()}`,
        () => `?w${this.#word().replace(/[{}]/g, "")}`,
        () => "",
      ])();
    return this.#one([
      () => `$${this.#name()}.`,
      () => `\${${gap()}${this.#name()}}`,
      () => `$(${this.#name()})`,
      () => `\${${this.#name()}${gap()}${tail()}}`,
      () => `\${${inner()}${gap()}${this.#one(["==", "!=", "<", "<=", ">", ">="])}${gap()}${inner()}${gap()}${tail()}}`,
      () =>
        `\${{3.${this.#below(12)}} ${this.#one([">=", "<", "=="])}level {3.${
          this.#below(12)
        }} ? ${inner()}:${inner()}}`,
    ])();
  }

  file(): string {
    let text = "compatibility_level = 3.6\n";
    for (const name of [...SET, ...OWN, "unused_one"]) {
      if (this.#below(3) === 0) continue;
      // An own name refers only to what stands before it, or recursion would end both programs.
      const value = OWN.includes(name) ? this.#word() : this.text(3);
      text += `${name}${this.#one(["=", " = ", "  =\t"])}${value.replace(/ /g, () => this.#one(SPACE))}\n`;
      if (this.#below(5) === 0) text += "# a comment\n\n";
    }
    return text;
  }
}

describe("random main.cf files beside Debian's postconf", { skip }, () => {
  it(`show the same values, warnings and status (POSTRIDER_TEST_SEED=${SEED})`, async () => {
    const writer = new Writer(chance(SEED));
    const rounds = Array.from({ length: 12 }, (_, round) => ({ round, main: writer.file() }));
    await Promise.all(rounds.map(({ round, main }) => compare(main, `POSTRIDER_TEST_SEED=${SEED} round ${round}`)));
  });
});

async function compare(main: string, about: string): Promise<void> {
  const folder = mkdtempSync(`${tmpdir()}/postrider-postconf-`);
  try {
    writeFileSync(`${folder}/master.cf`, "smtp inet n - n - - smtpd\n");
    writeFileSync(`${folder}/main.cf`, main);
    for (const words of [["-n"], ["-nx"], ["-h", ...SET], ["-x", ...SET, ...OWN]]) {
      const line = ["-c", folder, ...words];
      const [got, wanted] = await Promise.all([ours(line), debians(line)]);
      const command = `${about}: postconf ${line.join(" ")}\n${main}`;
      assert.equal(got.output, wanted.output, command);
      assert.deepEqual(warningsOf(got.errors), warningsOf(wanted.errors), command);
      assert.equal(got.status, wanted.status, command);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
