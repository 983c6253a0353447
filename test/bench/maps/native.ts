/**
 * Hyperscan (or vectorscan) and RE2 beside our engine: native.cpp, compiled once where a C++ compiler and one of the
 * libraries are there (Debian: g++ libhyperscan-dev libre2-dev); otherwise says what is missing.
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { latin1Encode } from "../../../src/latin1.ts";

const LIBRARIES = [["-lhs", "-lre2"], ["-lhs"], ["-lre2"]];

function compiled(folder: string): string | null {
  const source = new URL("native.cpp", import.meta.url).pathname;
  for (const libraries of LIBRARIES) {
    try {
      const words = ["-O2", "-std=c++17", "-o", join(folder, "native"), source, ...libraries, "-lpthread"];
      execFileSync("g++", words, { stdio: "ignore" });
      return join(folder, "native");
    } catch {
      // The next set of libraries.
    }
  }
  return null;
}

/** Prints the figures of the native engines for the rules (`/pattern/flags …` lines; toggles as in pcre_table(5)). */
export function nativeFigures(rules: string, keys: readonly string[]): void {
  const folder = mkdtempSync(join(tmpdir(), "postrider-native-"));
  try {
    const program = compiled(folder);
    if (program === null) return console.log("no native engine: needs g++ and libhyperscan-dev or libre2-dev");
    const lines = rules.split("\n").map((rule) => {
      const end = rule.lastIndexOf("/");
      const toggles = /^\S*/.exec(rule.slice(end + 1))![0];
      const flags = ["i", "s"].filter((flag) => !toggles.includes(flag)).join("") + (toggles.includes("m") ? "m" : "");
      return `${flags}\t${rule.slice(1, end)}`;
    });
    writeFileSync(join(folder, "rules"), latin1Encode(`${lines.join("\n")}\n`));
    const size = keys.reduce((sum, key) => sum + 4 + key.length, 0);
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const key of keys) {
      view.setUint32(at, key.length, true);
      bytes.set(latin1Encode(key), at + 4);
      at += 4 + key.length;
    }
    writeFileSync(join(folder, "keys"), bytes);
    execFileSync(program, [join(folder, "rules"), join(folder, "keys")], { stdio: ["ignore", "inherit", "inherit"] });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
