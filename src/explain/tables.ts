/**
 * Tables that tell what they are asked, with the line of the entry that answered. The line is found by opening the
 * table with ever shorter beginnings of its file: what the shortest that still answers ends with is the entry. That
 * holds for every type whose first entry counts, whatever its syntax.
 */

import { latin1Decode, latin1Encode } from "../latin1.ts";
import type { Lookup } from "../lookup.ts";
import { type LookupTable, openTable } from "../maps/map.ts";
import type { Files, FileStat, Runtime } from "../runtime.ts";
import type { Trace } from "./trace.ts";

/** Types whose text is read from the file they are named by. */
const OF_FILES = new Set(["hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash", "cidr", "regexp", "pcre"]);

export function answerText(answer: Lookup): string {
  switch (answer.kind) {
    case "found":
      return `"${answer.value}"`;
    case "none":
      return "not found";
    case "unsure":
      return `no answer: ${answer.why}`;
  }
}

/** "FILE, line N" of the entry that answers for the key; "" when there is no file to look at. */
export function entryPlace(runtime: Runtime, name: string, key: string): string {
  const colon = name.indexOf(":");
  const path = name.slice(colon + 1);
  if (runtime.files === null || !OF_FILES.has(name.slice(0, colon)) || path.startsWith("{")) return "";
  let lines: string[];
  try {
    lines = latin1Decode(runtime.files.readSync(path)).split("\n");
  } catch {
    return "";
  }
  const answers = (count: number): boolean => {
    const text = `${lines.slice(0, count).join("\n")}\n`;
    const table = openTable(name, withFile(runtime, path, latin1Encode(text)));
    const answer = table.get(key);
    return !(answer instanceof Promise) && answer.kind === "found";
  };
  if (!answers(lines.length)) return "";
  let [low, high] = [1, lines.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (answers(middle)) high = middle;
    else low = middle + 1;
  }
  return `${path}, line ${low}`;
}

/** The world with one file in it, which has that content. */
function withFile(runtime: Runtime, path: string, content: Uint8Array): Runtime {
  const missing = (): never => {
    throw Object.assign(new Error("no such file"), { code: "ENOENT" });
  };
  const known = runtime.files as Files;
  const files = {
    readSync: (asked: string, place?: (size: number) => Uint8Array): Uint8Array => {
      if (asked !== path) return missing();
      if (place === undefined) return content;
      const room = place(content.length);
      room.set(content);
      return room;
    },
    statSync: (asked: string): FileStat => asked === path ? known.statSync(path) : missing(),
  };
  return { ...runtime, files: files as unknown as Files };
}

/** For OpenOptions.observe. */
export function tracedTables(runtime: Runtime, trace: Trace): (table: LookupTable) => LookupTable {
  return (table) => {
    const told = (key: string, answer: Lookup): Lookup => {
      const place = answer.kind === "found" ? entryPlace(runtime, table.name, key) : "";
      trace.add("table", `"${key}" in ${table.name}`, answerText(answer), place);
      return answer;
    };
    return {
      name: table.name,
      pattern: table.pattern,
      get: (key) => {
        const answer = table.get(key);
        return answer instanceof Promise ? answer.then((value) => told(key, value)) : told(key, answer);
      },
    };
  };
}
