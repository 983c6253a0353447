import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

/** Tables of rows: length is no fault of theirs. */
const ROW_TABLES = new Set(["src/params/names.ts", "src/reply.ts"]);
const isRowTable = (file: string): boolean => ROW_TABLES.has(file) || file.startsWith("src/params/");

/** Sources whose tests are in another file, or that need none, with the reason. */
const TESTED_ELSEWHERE: Readonly<Record<string, string>> = JSON.parse(
  readFileSync("test/tidy-exemptions.json", "utf8"),
);

/** Made by `npm run wasm`. */
const GENERATED = "src/maps/wasm-modules.ts";

const list = (folder: string): string[] =>
  readdirSync(folder, { recursive: true }).map((name) => `${folder}/${String(name)}`)
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts") && name !== GENERATED).sort();

const sources = list("src");
const all = [
  ...sources,
  ...list("runtimes"),
  ...list("bin"),
  ...list("test").filter((file) => !file.includes("/mta/")),
];
const text = new Map(all.map((file) => [file, readFileSync(file, "utf8")]));
const lines = (file: string): string[] => text.get(file)!.split("\n");

/** Layers of ARCHITECTURE.md §3: a file imports only from its own folder or a lower number. */
const LAYERS: readonly (readonly [RegExp, number])[] = [
  [
    /^src\/(address|address-list|xforward|header|status|reply|errors|envelope|agent|runtime|latin1|lookup)\.ts$/,
    0,
  ],
  [
    /^src\/(dot-stuffing|idna|ip-address|logical-lines)\.ts$/,
    0,
  ],
  [/^src\/(params\.ts|params\/|notices\.ts)/, 0],
  [/^src\/(probe\.ts|config|log|metrics|maps|dns|match-list|maillog)/, 1],
  [/^src\/(queue\/|queue-list\.ts)/, 2],
  [/^src\/trivial-rewrite\//, 3],
  [/^src\/cleanup\//, 4],
  [/^src\/bounce\//, 4.5],
  [/^src\/(maildrop|maildir|mbox|mailbox)\.ts$|^src\/sendmail\//, 4.5],
  [/^src\/(smtpd|smtp|local|verify)\/|^src\/(pickup|requeue|virtual|pipe|error)\.ts$/, 5],
  [/^src\/qmgr\//, 6],
  [/^src\/(agents|mta|master|control|listen|ports|library|queue-requests|flush)\.ts$|^src\/(commands|explain)\//, 7],
  [/^src\/main\.ts$/, 8],
];

function layerOf(file: string): number {
  const found = LAYERS.find(([pattern]) => pattern.test(file));
  assert.ok(found, `${file} has no layer: add it to ARCHITECTURE.md §3 and to test/tidy.test.ts`);
  return found[1];
}

const folderOf = (file: string): string => file.split("/").slice(0, -1).join("/");

function importsOf(file: string): string[] {
  return [...text.get(file)!.matchAll(/(?:from|import\()\s*"([^"]+)"/g)].map((match) => match[1]!);
}

function resolved(file: string, specifier: string): string {
  return new URL(specifier, `file:///${file}`).pathname.slice(1);
}

/** What is an end (layer 5) never imports another end. */
function roleOf(file: string): string {
  const parts = file.split("/");
  return parts.length > 2 ? parts[1]! : parts[1]!.replace(".ts", "");
}

test("a source file has at most 400 lines", () => {
  const long = sources.filter((file) => !isRowTable(file) && lines(file).length > 401);
  assert.deepEqual(long, []);
});

test("a line has at most 120 characters", () => {
  const long = all.filter((file) => !isRowTable(file)).flatMap((file) =>
    lines(file).flatMap((line, at) => line.length > 120 ? [`${file}:${at + 1}`] : [])
  );
  assert.deepEqual(long, []);
});

test("a function has at most 70 lines", () => {
  const START = /^(?:export )?(?:async )?function|^ {2}(?:static |override |async |\*|get |set )*#?[\w]+(?:<[^>]*>)?\(/;
  const long = sources.filter((file) => !isRowTable(file)).flatMap((file) => {
    const found: string[] = [];
    const all = lines(file);
    all.forEach((line, at) => {
      if (!START.test(line) || !/[{(]$/.test(line.trimEnd())) return;
      const indent = /^ */.exec(line)![0];
      const end = all.findIndex((later, index) => index > at && later.startsWith(`${indent}}`));
      if (end - at + 1 > 70) found.push(`${file}:${at + 1}`);
    });
    return found;
  });
  assert.deepEqual(long, []);
});

test("src/ touches the world through the Runtime only", () => {
  const TIMERS = /\bDate\.now\b|(?<![.\w])set(?:Timeout|Interval|Immediate)\((?!ms\b|\))|\bMath\.random\b/;
  const RUNTIMES = /\bBun\.|\bDeno\.|"node:|(?<!\.)\bprocess\.[a-z]/;
  const found = sources.filter((file) => !file.startsWith("src/smtpd/engine/")).flatMap((file) =>
    lines(file).flatMap((line, at) => {
      const code = line.replace(/\/\/.*$|^\s*\*.*$|^\s*\/\*\*.*$/, "").replace(
        /this\.\S*|processes?\?\.|\w+\.process\./g,
        "",
      );
      return TIMERS.test(code) || RUNTIMES.test(code) ? [`${file}:${at + 1}: ${line.trim()}`] : [];
    })
  );
  assert.deepEqual(found, []);
});

test("Buffer stands in the SMTP engine only", () => {
  const found = sources.filter((file) =>
    !file.startsWith("src/smtpd/engine/") &&
    lines(file).some((line) => /\bBuffer\b/.test(line.replace(/\/\/.*|^\s*\*.*/, "")))
  ).filter((file) => !file.startsWith("src/dns/"));
  assert.deepEqual(found, []);
});

test("smtp-server is imported by the engine only", () => {
  const found = sources.filter((file) => !file.startsWith("src/smtpd/engine/") && /"smtp-server/.test(text.get(file)!));
  assert.deepEqual(found, []);
});

test("imports go to the own folder or to a lower layer, and ends never import each other", () => {
  const wrong: string[] = [];
  for (const file of sources) {
    for (const specifier of importsOf(file).filter((name) => name.startsWith("."))) {
      const target = resolved(file, specifier);
      if (!target.startsWith("src/") || folderOf(target) === folderOf(file) && folderOf(file) !== "src") continue;
      const [from, to] = [layerOf(file), layerOf(target)];
      const sameRole = roleOf(file) === roleOf(target);
      if (to > from || (to === from && from === 5 && !sameRole)) wrong.push(`${file} -> ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("no any, no default exports, no index.ts, no utils", () => {
  const names = all.filter((file) => /(^|\/)(index|utils?|helpers?|common)(\.ts|\/)/.test(file));
  assert.deepEqual(names, []);
  const found = [...sources, ...list("runtimes")].flatMap((file) =>
    lines(file).flatMap((line, at) =>
      /:\s*any\b|<any>|as any\b|^export default/.test(line) ? [`${file}:${at + 1}`] : []
    )
  );
  assert.deepEqual(found, []);
});

test("a source file says at its head what it does", () => {
  const silent = [...sources, ...list("runtimes")].filter((file) => !/^(#!.*\n)?\/\*\*\n \* \S/.test(text.get(file)!));
  assert.deepEqual(silent, []);
});

test("each source has its test: of its own name, or one that imports it, or a listed reason", () => {
  const imported = new Set(
    list("test").filter((file) => !file.includes("/mta/")).flatMap((file) =>
      importsOf(file).filter((name) => name.startsWith(".")).map((name) => resolved(file, name))
    ),
  );
  const missing = sources.filter((file) => {
    const own = file.replace(/^src\//, "test/").replace(/\.ts$/, ".test.ts");
    return !existsSync(own) && !imported.has(file) && TESTED_ELSEWHERE[file] === undefined;
  });
  assert.deepEqual(missing, []);
  const stale = Object.keys(TESTED_ELSEWHERE).filter((file) => !existsSync(file));
  assert.deepEqual(stale, []);
});

test("the places named by the README exist", () => {
  const readme = readFileSync("README.md", "utf8");
  const named = [...readme.matchAll(/`((?:src|runtimes|test|docs|examples|wasm|bin)\/[\w./-]*)`/g)].map((match) =>
    match[1]!
  );
  assert.ok(named.length > 0, "the README names places");
  assert.deepEqual(named.filter((path) => !existsSync(path)), []);
});
