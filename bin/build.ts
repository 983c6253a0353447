/**
 * npm run build: makes dist/, or the folder that is named. The library and its types as tsc writes them, a file a
 * module; the program as few files, because reading and linking 300 modules takes longer than what they do at a start.
 * A command's own code is a chunk that is read when the command is called. The same program runs on Node, Bun and Deno,
 * with its dependencies in it.
 *   bun bin/build.ts [FOLDER]
 */

import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("..", import.meta.url));
const folder = process.argv[2] ?? `${project}dist`;

function compileLibrary(): void {
  const command = ["node", `${project}node_modules/typescript/bin/tsc`, "-p", `${project}tsconfig.json`];
  const { success } = Bun.spawnSync([...command, "--outDir", folder], { stdout: "inherit", stderr: "inherit" });
  if (!success) process.exit(1);
}

/** What smtp-server and nodemailer name for resolving, reverse names and the web: nobody asks them for these here. */
const WHEN_USED = new Set(["node:dns", "node:http", "node:https"]);

/**
 * Node evaluates every getter of a built-in module that is imported, and behind those of http stands its whole fetch,
 * behind those of util and crypto much else; getBuiltinModule leaves them alone.
 */
const builtInModules: Bun.BunPlugin = {
  name: "built-in modules without their getters",
  setup(build) {
    build.onResolve({ filter: /^node:(dns|https?|crypto|tls|util)$/ }, ({ path }) => ({ path, namespace: "built-in" }));
    build.onLoad({ filter: /./, namespace: "built-in" }, ({ path }) => {
      const module = `process.getBuiltinModule("${path}")`;
      const whenUsed = `new Proxy({}, { get: (_, name) => ${module}[name] })`;
      return { contents: `module.exports = ${WHEN_USED.has(path) ? whenUsed : module};`, loader: "js" };
    });
  },
};

/** Run through a link, the program is where the link points to: Deno alone does not look. */
const LAUNCHER = `#!/usr/bin/env node
import { realpathSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
await import(new URL("program/main.js", pathToFileURL(realpathSync(fileURLToPath(import.meta.url)))).href);
`;

/** The files whose text is in the program. */
async function bundleProgram(): Promise<readonly string[]> {
  const { metafile } = await Bun.build({
    entrypoints: [`${project}bin/postrider.ts`],
    outdir: `${folder}/bin/program`,
    naming: { entry: "main.js", chunk: "[name]-[hash].js" },
    target: "node",
    external: ["bun:*"],
    splitting: true,
    metafile: true,
    // Names stay: they stand in stack traces.
    minify: { whitespace: true, syntax: true },
    // Bun takes what starts so as it is; others read a comment.
    banner: "// @bun",
    plugins: [builtInModules],
  });
  return Object.keys(metafile!.inputs);
}

/** Whoever passes on a package's code passes on its licence. */
function licences(files: readonly string[]): string {
  const packages = new Set(files.flatMap((file) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? []));
  return [...packages].sort().map((name) => {
    const own = `${project}node_modules/${name}`;
    const file = readdirSync(own).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${own} has no licence`);
    return `${name}\n\n${readFileSync(`${own}/${file}`, "utf8")}\n`;
  }).join("\n");
}

rmSync(folder, { recursive: true, force: true });
compileLibrary();
writeFileSync(`${folder}/bin/postrider.js`, LAUNCHER);
writeFileSync(`${folder}/bin/program/LICENSES.txt`, licences(await bundleProgram()));
