/**
 * What postmap(1) and postalias(1) write: images of tables. A new image, entries of standard input added to one (-i),
 * entries removed from one (-d). A changed image is written anew as a whole; it belongs to the text as it is now.
 * Throws Fatal and system errors.
 */

import type { Config } from "../config/config.ts";
import { messageOf, systemCode } from "../errors.ts";
import { buildImage, type Identity, IMAGE_ENDING, type ImageOwner, textIdentity, writeImage } from "../maps/compile.ts";
import { foldAscii, foldUtf8, isUtf8, MALFORMED } from "../maps/fold.ts";
import { statOf } from "../maps/file-table.ts";
import { filesValue } from "../maps/files-value.ts";
import { HashImage, openName } from "../maps/hash.ts";
import { isTableType } from "../maps/map.ts";
import { textEntries } from "../maps/text.ts";
import type { FileStat } from "../runtime.ts";
import type { TableKind, TableRequest } from "./table-options.ts";
import { Fatal, systemText, type Tool } from "./tool.ts";

export interface TableCall {
  readonly tool: Tool;
  readonly kind: TableKind;
  readonly request: TableRequest;
  readonly config: Config;
  readonly directory: string;
  /** smtputf8_enable and the options that turn it off. */
  readonly utf8: boolean;
}

/** `type:path`, taken apart. */
export interface TableName {
  readonly type: string;
  readonly path: string;
}

const WRITABLE = new Set(["hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "fail"]);
const CDB_ONLY_NEW =
  "dict_cdb_open: inappropriate open flags for cdb database - specify O_RDONLY or O_WRONLY|O_CREAT|O_TRUNC";
const NEW_FILE = 0o644;

/** Fatal with the words of the system, as Postfix says them. */
function reading<T>(words: string, action: () => T): T {
  try {
    return action();
  } catch (caught) {
    if (systemCode(caught) === "") throw caught;
    throw new Fatal(`${words}: ${systemText(caught)}`);
  }
}

function duplicateWords({ type, path }: TableName): (key: string) => string {
  const name = type === "lmdb" ? `lmdb:${path}` : type === "cdb" ? path : path + IMAGE_ENDING;
  return (key) => `${name}: duplicate entry: "${key}"`;
}

function checkWritable({ type, path }: TableName, incremental: boolean): void {
  if (!isTableType(type)) {
    throw new Fatal(`unsupported dictionary type: ${type}. Is the postfix-${type} package installed?`);
  }
  if (!WRITABLE.has(type)) {
    throw new Fatal(`unsupported dictionary type: ${type} does not support bulk-mode creation.`);
  }
  if (type === "cdb" && incremental) throw new Fatal(CDB_ONLY_NEW);
  if (path === "") throw new Fatal(`open ${path}: No such file or directory`);
}

/** The entries of an image that is there; null: there is none. */
function imageEntries(tool: Tool, path: string): Map<string, string> | null {
  const file = path + IMAGE_ENDING;
  if (reading(`open database ${file}`, () => statOf(tool.files, file)) === null) return null;
  const image = HashImage.open(reading(`open database ${file}`, () => tool.files.readSync(file)));
  if (typeof image === "string") throw new Fatal(`open database ${file}: ${image}`);
  return new Map(image.entries());
}

function identityNow(tool: Tool, path: string): Identity | null {
  try {
    const stat = tool.files.statSync(path);
    return textIdentity(tool.runtime, stat, tool.files.readSync(path));
  } catch {
    return null;
  }
}

/** An image that is there keeps its owner and permissions. */
function ownerOf(call: TableCall, path: string, source: FileStat | null): ImageOwner {
  const { tool, request } = call;
  const there = statOf(tool.files, path + IMAGE_ENDING);
  if (there !== null) {
    const root = tool.processes.uid() === 0;
    return { mode: there.mode & 0o777, owner: root ? { uid: there.uid, gid: there.gid } : null };
  }
  const mode = source !== null && request.savePermissions ? NEW_FILE & (source.mode | 0o600) : NEW_FILE;
  return { mode, owner: null };
}

async function write(
  call: TableCall,
  path: string,
  entries: ReadonlyMap<string, string>,
  text: Identity | null,
  source: FileStat | null,
): Promise<void> {
  const file = path + IMAGE_ENDING;
  try {
    await writeImage(call.tool.runtime, file, buildImage(entries, text), ownerOf(call, path, source));
  } catch (caught) {
    if (systemCode(caught) === "") throw new Fatal(`open database ${file}: ${messageOf(caught)}`);
    throw new Fatal(`open database ${file}: ${systemText(caught)}`);
  }
}

/** Entries for programs that ask whether the aliases are complete, as Postfix adds them. */
function addSignatures(call: TableCall, entries: Map<string, string>): void {
  entries.set("@", "@");
  entries.set("YP_LAST_MODIFIED", String(Math.floor(call.tool.runtime.clock.now() / 1000)).padStart(10, "0"));
  entries.set("YP_MASTER_NAME", call.config.myhostname);
}

/** Root gives up its rights for those of the owner of the file: a process of its own does the work. */
async function asOwner(call: TableCall, { type, path }: TableName, owner: FileStat): Promise<void> {
  const { tool, kind, request, directory } = call;
  const { processes } = tool;
  const environment = Object.fromEntries(
    Object.entries(processes.environment).filter((pair): pair is [string, string] => pair[1] !== undefined),
  );
  const letters = `-o${request.letters}`;
  const child = processes.spawn(processes.self.command, {
    arguments: [...processes.self.arguments, kind.name, letters, "-c", directory, `${type}:${path}`],
    environment,
    uid: owner.uid,
    gid: owner.gid,
    streams: "inherit",
  });
  const { code } = await child.exited;
  if (code !== 0) throw new Fatal(`building ${type}:${path} as its owner failed`);
}

async function readInput(tool: Tool): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of tool.processes.readInput()) pieces.push(piece);
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** postmap TABLE, postmap -i TABLE. */
export async function buildTable(call: TableCall, name: TableName): Promise<void> {
  const { tool, kind, request } = call;
  const { type, path } = name;
  const { incremental } = request;
  if (!incremental && type === "proxy") throw new Fatal("can't create maps via the proxy service");
  const stat = incremental ? null : reading(`open ${path}`, () => tool.files.statSync(path));
  const bytes = incremental ? await readInput(tool) : reading(`open ${path}`, () => tool.files.readSync(path));
  checkWritable(name, incremental);
  const { processes } = tool;
  if (stat !== null && request.asOwner && processes.uid() === 0 && (stat.uid !== 0 || stat.gid !== processes.gid())) {
    return await asOwner(call, name, stat);
  }
  if (type === "fail") throw new Fatal(`table fail:${path}: write error: Application error`);
  const read = textEntries(bytes, incremental ? "stdin" : path, {
    format: kind.format,
    fold: request.fold,
    utf8: call.utf8,
    duplicates: request.duplicates,
    duplicateOf: duplicateWords(name),
    ending: "",
    ...request.files ? { valueFrom: (value: string) => filesValue(tool.files, value) } : {},
    ...incremental ? { entries: imageEntries(tool, path) ?? new Map<string, string>() } : {},
  });
  read.warnings.forEach((text) => tool.warn(text));
  const entries = new Map(read.entries);
  if (kind.format === "aliases") addSignatures(call, entries);
  const identity = stat === null ? identityNow(tool, path) : textIdentity(tool.runtime, stat, bytes);
  await write(call, path, entries, identity, stat);
}

function checkChangeable({ type, path }: TableName): void {
  if (type === "" || path === "") {
    throw new Fatal(`open dictionary: expecting "type:name" form instead of "${type}:${path}"`);
  }
  if (!isTableType(type)) throw new Fatal(`unsupported dictionary type: ${type}`);
  if (type === "cdb") throw new Fatal(CDB_ONLY_NEW);
  if (type === "fail") throw new Fatal(`table fail:${path}: delete error: Application error`);
  if (type === "static") throw new Fatal(`table static:${path}: delete operation is not supported`);
  if (!WRITABLE.has(type)) throw new Fatal(`${type}:${path} map requires O_RDONLY access mode`);
}

/** postmap -d: whether one of the keys was there. */
export async function removeKeys(call: TableCall, name: TableName, keys: readonly string[]): Promise<boolean> {
  const { tool, request, utf8 } = call;
  checkChangeable(name);
  const entries = imageEntries(tool, name.path);
  if (entries === null) {
    throw new Fatal(`open database ${name.path}${IMAGE_ENDING}: No such file or directory`);
  }
  let found = false;
  let changed = false;
  for (const key of keys) {
    if (utf8 && !isUtf8(key)) {
      tool.warn(`${openName(name.type, name.path)}: non-UTF-8 key "${key}": ${MALFORMED}`);
      found = true;
      continue;
    }
    const folded = !request.fold ? key : utf8 ? foldUtf8(key) as string : foldAscii(key);
    if (!entries.delete(folded)) continue;
    found = changed = true;
  }
  if (changed) await write(call, name.path, entries, identityNow(tool, name.path), statOf(tool.files, name.path));
  return found;
}
