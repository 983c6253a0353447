/**
 * postmap(1) and postalias(1): build, query (-q), list (-s) and change (-d, -i) tables. Queries go to every type of
 * table; images are written by table-build.ts. Exit status 0; 1 for what is not found and for what is fatal.
 */

import { inputLines } from "./input-lines.ts";
import type { Lookup } from "../lookup.ts";
import { fileText } from "../maps/files-value.ts";
import { openName } from "../maps/hash.ts";
import { isTableType, type LookupTable, openTable } from "../maps/map.ts";
import type { Runtime } from "../runtime.ts";
import { messageKeys } from "./message-keys.ts";
import { buildTable, removeKeys, type TableCall, type TableName } from "./table-build.ts";
import { type TableKind, tableRequest, usageOf } from "./table-options.ts";
import { Fatal, runTool, type Tool } from "./tool.ts";

const HASH_TYPES = new Set(["hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash"]);
const BASE64_SHOWN = 30;

function nameOf(call: TableCall, operand: string): TableName {
  const colon = operand.indexOf(":");
  if (colon < 0) return { type: call.config.text("default_database_type"), path: operand };
  return { type: operand.slice(0, colon), path: operand.slice(colon + 1) };
}

/** A table that cannot be opened ends the command. */
function open(call: TableCall, { type, path }: TableName): LookupTable {
  const { tool, request, utf8 } = call;
  if (type === "" || path === "") {
    throw new Fatal(`open dictionary: expecting "type:name" form instead of "${type}:${path}"`);
  }
  if (!isTableType(type)) throw new Fatal(`unsupported dictionary type: ${type}`);
  const unavailable = `${type}:${path} is unavailable. `;
  let why: string | null = null;
  const table = openTable(`${type}:${path}`, tool.runtime, {
    fold: request.fold,
    utf8,
    files: request.files,
    duplicates: request.duplicates,
    warn: (text) => {
      if (text.startsWith(unavailable)) why = text.slice(unavailable.length);
      else tool.warn(text);
    },
  });
  if (why !== null) throw new Fatal(table.pattern ? (why as string).replace(/^open database /, "open ") : why);
  return table;
}

/** What messages about queries call the table. */
const shown = ({ type, path }: TableName): string => HASH_TYPES.has(type) ? openName(type, path) : `${type}:${path}`;

function checkEmpty(tool: Tool, name: string, key: string, value: string): void {
  if (value !== "") return;
  tool.warn(`table ${name}: key ${key}: empty string result is not allowed`);
  tool.warn(`table ${name} should return NO RESULT in case of NOT FOUND`);
}

async function ask(call: TableCall, name: TableName, table: LookupTable, key: string): Promise<string | null> {
  const { tool, request } = call;
  const answer: Lookup = await table.get(key);
  if (answer.kind === "unsure") {
    throw new Fatal(name.type === "fail" ? `table ${shown(name)}: query error: Application error` : answer.why);
  }
  if (answer.kind === "none") return null;
  if (!request.files) {
    checkEmpty(tool, `${name.type}:${name.path}`, key, answer.value);
    return answer.value;
  }
  const text = fileText(answer.value);
  if (text !== null) return text;
  tool.warn(`table ${shown(name)}: key ${key}: malformed BASE64 value: ${answer.value.slice(0, BASE64_SHOWN)}`);
  throw new Fatal(`table ${shown(name)}: query error`);
}

async function queryOne(call: TableCall, key: string): Promise<number> {
  for (const operand of call.request.operands) {
    const name = nameOf(call, operand);
    const value = await ask(call, name, open(call, name), key);
    if (value === null) continue;
    call.tool.print(`${value}\n`);
    return 0;
  }
  return 1;
}

/** -q -: tables are opened when a key comes to them. */
async function queryInput(call: TableCall): Promise<number> {
  const { tool, kind, request } = call;
  const names = request.operands.map((operand) => nameOf(call, operand));
  const tables: LookupTable[] = [];
  let found = false;
  const lines = await inputLines(tool);
  const keys = request.headers || request.body ? messageKeys(lines, request) : lines;
  for (const key of keys) {
    for (const [index, name] of names.entries()) {
      const table = tables[index] ??= open(call, name);
      const value = await ask(call, name, table, key);
      if (value === null) continue;
      tool.print(`${key}${kind.between}${value}\n`);
      found = true;
      break;
    }
  }
  return found ? 0 : 1;
}

async function remove(call: TableCall, key: string): Promise<number> {
  const keys = key === "-" ? await inputLines(call.tool) : [key];
  let found = false;
  for (const operand of call.request.operands) {
    if (await removeKeys(call, nameOf(call, operand), keys)) found = true;
  }
  return found ? 0 : 1;
}

/** -s: only the first table, as in Postfix. */
function list(call: TableCall): number {
  const { tool, kind, request } = call;
  const [operand] = request.operands;
  if (operand === undefined) return 1;
  const name = nameOf(call, operand);
  if (name.type === "proxy") throw new Fatal("can't sequence maps via the proxy service");
  const table = open(call, name);
  if (name.type === "fail") throw new Fatal(`table ${shown(name)}: sequence error: Application error`);
  if (table.entries === undefined || name.type === "cdb") {
    throw new Fatal(`table ${shown(name)}: sequence operation is not supported`);
  }
  for (const [key, value] of table.entries()) {
    if (key === "") tool.warn(`table ${name.type}:${name.path}: empty lookup key value is not allowed`);
    else checkEmpty(tool, `${name.type}:${name.path}`, key, value);
    const text = request.files ? fileText(value) : value;
    if (text === null) {
      tool.warn(`table ${shown(name)}: key ${key}: malformed BASE64 value: ${value.slice(0, BASE64_SHOWN)}`);
    } else tool.print(`${key}${kind.between}${text}\n`);
  }
  return 0;
}

async function run(tool: Tool, kind: TableKind, words: readonly string[]): Promise<number> {
  const request = tableRequest(tool, kind, words);
  const directory = tool.directory(request.directory);
  const config = tool.config(directory);
  const ofMessage = request.headers || request.body;
  if (request.query !== "-" && (ofMessage || request.mime)) throw new Fatal('specify -b -h or -m only with "-q -"');
  if (request.mime && !ofMessage) tool.warn("ignoring -m option without -b or -h");
  const utf8 = config.text("smtputf8_enable") === "yes" && request.utf8 && (!ofMessage || request.forceUtf8);
  const call: TableCall = { tool, kind, request, config, directory, utf8 };
  if (request.operands.length === 0 && !request.list) throw new Fatal(usageOf(tool, kind));
  if (request.remove !== null) return await remove(call, request.remove);
  if (request.query === "-") return await queryInput(call);
  if (request.query !== null) return await queryOne(call, request.query);
  if (request.list) return list(call);
  for (const operand of request.operands) await buildTable(call, nameOf(call, operand));
  return 0;
}

export function tableCommand(runtime: Runtime, kind: TableKind, words: readonly string[]): Promise<number> {
  return runTool(runtime, kind.name, 1, (tool) => run(tool, kind, words));
}
