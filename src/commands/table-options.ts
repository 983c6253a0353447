/**
 * The command lines of postmap(1) and postalias(1), with Postfix's option strings and texts. Throws Fatal.
 */

import { latin1Of } from "../latin1.ts";
import type { Duplicates } from "../maps/text.ts";
import { Fatal, type Tool } from "./tool.ts";

export interface TableKind {
  readonly name: "postmap" | "postalias";
  readonly options: string;
  readonly usage: string;
  readonly format: "keys" | "aliases";
  /** Between key and value where both are printed. */
  readonly between: string;
}

export const POSTMAP: TableKind = {
  name: "postmap",
  options: "bc:d:fFhimnNopq:rsuUvw",
  usage: "[-bfFhimnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
  format: "keys",
  between: "\t",
};

export const POSTALIAS: TableKind = {
  name: "postalias",
  options: "c:d:finNopq:rsuvw",
  usage: "[-Nfinoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
  format: "aliases",
  between: ":\t",
};

export interface TableRequest {
  readonly directory: string | null;
  readonly query: string | null;
  readonly remove: string | null;
  readonly list: boolean;
  readonly incremental: boolean;
  readonly fold: boolean;
  readonly utf8: boolean;
  readonly forceUtf8: boolean;
  readonly files: boolean;
  readonly duplicates: Duplicates;
  /** Run as the owner of the source file; copy its permissions. */
  readonly asOwner: boolean;
  readonly savePermissions: boolean;
  readonly headers: boolean;
  readonly body: boolean;
  readonly mime: boolean;
  readonly operands: readonly string[];
  /** The option letters that make a difference to how an image is built. */
  readonly letters: string;
}

type Changing = { -readonly [K in keyof TableRequest]: TableRequest[K] };

function once(request: Changing): void {
  if (request.list || request.query !== null || request.remove !== null) {
    throw new Fatal("specify only one of -s -q or -d");
  }
}

/** N and n choose how a Berkeley DB file ends its strings, v what is logged: they change nothing here. */
const LETTERS: Readonly<Record<string, (request: Changing, value: string) => void>> = {
  b: (request) => request.body = true,
  c: (request, value) => request.directory = value,
  d: (request, value) => {
    once(request);
    request.remove = latin1Of(value);
  },
  f: (request) => request.fold = false,
  F: (request) => request.files = true,
  h: (request) => request.headers = true,
  i: (request) => request.incremental = true,
  m: (request) => request.mime = true,
  o: (request) => request.asOwner = false,
  p: (request) => request.savePermissions = false,
  q: (request, value) => {
    once(request);
    request.query = latin1Of(value);
  },
  r: (request) => request.duplicates = "replace",
  s: (request) => {
    if (request.query !== null || request.remove !== null) throw new Fatal("specify only one of -s or -q or -d");
    request.list = true;
  },
  u: (request) => request.utf8 = false,
  U: (request) => request.forceUtf8 = true,
  w: (request) => request.duplicates = "ignore",
};

export function tableRequest(tool: Tool, kind: TableKind, words: readonly string[]): TableRequest {
  const request: Changing = {
    directory: null,
    query: null,
    remove: null,
    list: false,
    incremental: false,
    fold: true,
    utf8: true,
    forceUtf8: false,
    files: false,
    duplicates: "warn",
    asOwner: true,
    savePermissions: true,
    headers: false,
    body: false,
    mime: false,
    operands: [],
    letters: "",
  };
  const line = tool.options(kind.options, words, usageOf(tool, kind));
  for (const { letter, value } of line.options) {
    LETTERS[letter]?.(request, value ?? "");
    if (value === null && "fFprwu".includes(letter)) request.letters += letter;
  }
  if (kind.name === "postalias" && request.list && request.query !== null) once(request);
  request.operands = line.operands;
  return request;
}

export function usageOf(tool: Tool, kind: TableKind): string {
  return `usage: ${tool.name} ${kind.usage}`;
}
