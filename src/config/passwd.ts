/**
 * Accounts and groups as /etc/passwd and /etc/group list them.
 * Lines that are not entries are skipped; a file that cannot be read has no entries.
 */

import { latin1Decode } from "../latin1.ts";
import type { Runtime, User } from "../runtime.ts";

export interface Group {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

function fieldsOf(text: string, count: number): string[][] {
  return text.split("\n").map((line) => line.split(":")).filter((fields) => fields.length >= count && fields[0] !== "");
}

export function parsePasswd(text: string): User[] {
  return fieldsOf(text, 7).filter((fields) => /^[0-9]+$/.test(fields[2]!) && /^[0-9]+$/.test(fields[3]!)).map((
    fields,
  ) => ({
    name: fields[0]!,
    uid: Number(fields[2]),
    gid: Number(fields[3]),
    fullName: fields[4]!.split(",")[0]!,
    home: fields[5]!,
    shell: fields[6]!.trim(),
  }));
}

export function parseGroup(text: string): Group[] {
  return fieldsOf(text, 4).filter((fields) => /^[0-9]+$/.test(fields[2]!)).map((fields) => ({
    name: fields[0]!,
    gid: Number(fields[2]),
    members: fields[3]!.trim().split(",").filter((name) => name !== ""),
  }));
}

function contentOf(runtime: Runtime, path: string): string {
  try {
    return runtime.files === null ? "" : latin1Decode(runtime.files.readSync(path));
  } catch {
    return "";
  }
}

/** Null when there is no such account. */
export function userNamed(runtime: Runtime, name: string): User | null {
  return parsePasswd(contentOf(runtime, "/etc/passwd")).find((user) => user.name === name) ?? null;
}

export function userNumbered(runtime: Runtime, uid: number): User | null {
  return parsePasswd(contentOf(runtime, "/etc/passwd")).find((user) => user.uid === uid) ?? null;
}

export function groupNamed(runtime: Runtime, name: string): Group | null {
  return parseGroup(contentOf(runtime, "/etc/group")).find((group) => group.name === name) ?? null;
}
