/**
 * Compiles the AssemblyScript modules to `src/maps/wasm-modules.ts` (git-ignored): one base64 text a module, the one
 * form that Node, Bun, Deno and the compiled binaries all embed unchanged.
 *   npm run wasm
 */

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import process from "node:process";
import asc from "assemblyscript/asc";

/** Module name -> its entry file. */
const ENTRIES: Readonly<Record<string, string>> = {
  cidr: "wasm/cidr.ts",
  hash: "wasm/hash.ts",
  regex: "wasm/regex/table.ts",
};

const OUTPUT = "src/maps/wasm-modules.ts";
// The runtime is a stub: memory is freed by dropping the instance.
const OPTIONS = ["-O3", "--noAssert", "--converge", "--enable", "simd", "--runtime", "stub"];

async function compiled(entry: string): Promise<Uint8Array> {
  let bytes = new Uint8Array();
  const { error, stderr } = await asc.main([entry, "--outFile", "module.wasm", ...OPTIONS], {
    readFile: (name, base) => {
      try {
        return readFileSync(`${base}/${name}`, "utf8");
      } catch {
        return null;
      }
    },
    writeFile: (name, contents) => {
      if (name === "module.wasm") bytes = contents as Uint8Array<ArrayBuffer>;
    },
    listFiles: () => null,
  });
  if (error !== null) throw new Error(`${entry}: ${stderr.toString() || error.message}`);
  return bytes;
}

process.chdir(new URL("..", import.meta.url).pathname);
const rows: string[] = [];
for (const [name, entry] of Object.entries(ENTRIES)) {
  const bytes = await compiled(entry);
  console.log(`wasm: ${name} ${bytes.length} bytes`);
  rows.push(`  ${name}: "${Buffer.from(bytes).toString("base64")}",\n`);
}
writeFileSync(
  `${OUTPUT}.new`,
  `/**\n * Made by \`npm run wasm\` from wasm/: do not edit. One base64 text a module.\n */\n\n` +
    `export const MODULES = {\n${rows.join("")}} as const;\n`,
);
renameSync(`${OUTPUT}.new`, OUTPUT);
