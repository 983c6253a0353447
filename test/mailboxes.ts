/**
 * What the tests of mailbox delivery share: a folder, letters, contents, and files that fail on purpose.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { currentRuntime } from "../runtimes/select.ts";
import type { ContentSource } from "../src/agent.ts";
import { NO_CLIENT, plainRecipient } from "../src/envelope.ts";
import { latin1Decode, latin1Encode } from "../src/latin1.ts";
import type { Letter } from "../src/mailbox.ts";
import type { Files, OpenFile, Runtime } from "../src/runtime.ts";

export const runtime: Runtime = await currentRuntime();
export const SELF = { uid: runtime.processes!.uid(), gid: runtime.processes!.gid() };

export function temporary(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "postrider-mail-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export const bytesOf = (path: string): string => latin1Decode(readFileSync(path));
export const names = (path: string): string[] => readdirSync(path).sort();

/** Content in memory, or handed out in small pieces as if it came from disk. */
export function contentOf(text: string, pieceLength = 0): ContentSource {
  const bytes = latin1Encode(text);
  if (pieceLength === 0) return { pieces: () => [bytes], read: () => raise(new Error("it is in memory")) };
  return {
    pieces: () => null,
    read: async function* () {
      for (let at = 0; at < bytes.length; at += pieceLength) {
        yield await Promise.resolve(bytes.subarray(at, at + pieceLength));
      }
    },
  };
}

/** Content whose storage fails after the first piece. */
export const BROKEN_CONTENT: ContentSource = {
  pieces: () => null,
  read: async function* () {
    yield await Promise.resolve(latin1Encode("Subject: x\r\n"));
    raise(systemError("EIO"));
  },
};

export function raise(error: Error): never {
  throw error;
}

export function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

export function letter(change: Partial<Letter> & { readonly sender?: string } = {}): Letter {
  const { sender = "s@orig.example", ...others } = change;
  return {
    request: {
      queueId: "QID",
      transport: "virtual",
      nexthop: "v.example",
      envelope: { sender, arrived: 0, client: NO_CLIENT, encoding: "", ret: "", envid: "" },
      recipients: [plainRecipient("r@v.example")],
      size: 10,
      activeAt: 0,
    },
    recipient: plainRecipient("r@v.example"),
    showDelivered: true,
    owner: SELF,
    creator: SELF,
    sizeLimit: 0,
    signal: new AbortController().signal,
    ...others,
  };
}

export const LEAD = "Return-Path: <s@orig.example>\nX-Original-To: r@v.example\nDelivered-To: r@v.example\n";

/** One call that fails: its name, the error's code, and how many calls of that name go well before. */
export interface Fault {
  readonly call: "open" | "write" | "sync" | "rename" | "syncFolder" | "makeFolder" | "statLink";
  readonly code: string;
  readonly after?: number;
  /** Only paths that hold this text. */
  readonly path?: string;
}

/** Files where the named calls fail. A failing write has written half of its first piece, as a full disk does. */
export function faulty(files: Files, fault: Fault): Files {
  let left = fault.after ?? 0;
  const due = (call: Fault["call"], path: string): boolean =>
    call === fault.call && path.includes(fault.path ?? "") && left-- <= 0;
  const fail = (): never => raise(systemError(fault.code));
  const wrapped = (file: OpenFile, path: string): OpenFile => ({
    read: (into, position) => file.read(into, position),
    write: async (pieces, position) => {
      if (!due("write", path)) return file.write(pieces, position);
      await file.write([pieces[0]!.subarray(0, pieces[0]!.length >> 1)], position);
      return fail();
    },
    sync: async () => due("sync", path) ? fail() : await file.sync(),
    stat: () => file.stat(),
    truncate: (length) => file.truncate(length),
    setTimes: (at) => file.setTimes(at),
    setOwner: (uid, gid) => file.setOwner(uid, gid),
    setMode: (mode) => file.setMode(mode),
    tryLock: () => file.tryLock(),
    close: () => file.close(),
  });
  return {
    ...files,
    open: async (path, mode, permissions) =>
      due("open", path) ? fail() : wrapped(await files.open(path, mode, permissions), path),
    rename: async (from, to) => due("rename", to) ? fail() : await files.rename(from, to),
    syncFolder: async (path) => due("syncFolder", path) ? fail() : await files.syncFolder(path),
    makeFolder: async (path, mode) => due("makeFolder", path) ? fail() : await files.makeFolder(path, mode),
    statLink: async (path) => due("statLink", path) ? fail() : await files.statLink(path),
  };
}
