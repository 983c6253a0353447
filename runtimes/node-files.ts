/**
 * Files on node:fs, the same on Node, Bun and Deno. Descriptors are closed by close() alone.
 * Errors are node's own and carry the system's code; a short write is continued until all is written or an error comes.
 * `gather`: false where writev is a loop of single writes (Deno): pieces are joined first.
 */

import * as fs from "node:fs";
import { promises } from "node:fs";
import type { Files, FileStat, Millis, OpenFile, OpenMode } from "../src/runtime.ts";

const { O_RDONLY, O_RDWR, O_WRONLY, O_CREAT, O_EXCL, O_APPEND, O_TRUNC } = fs.constants;

/** "write" empties the file, as in fopen(3); "read-write" changes what is there. */
const FLAGS: Readonly<Record<OpenMode, number>> = {
  "read": O_RDONLY,
  "read-write": O_RDWR,
  "create": O_RDWR | O_CREAT | O_EXCL,
  "append": O_WRONLY | O_CREAT | O_APPEND,
  "write": O_WRONLY | O_CREAT | O_TRUNC,
};

/** writev(2) takes at most 1024 pieces. */
const PIECES_AT_ONCE = 1024;

export interface FilesOptions {
  readonly gather: boolean;
  /** flock(2) exclusive, not waiting; null: the runtime cannot. */
  readonly flock: ((fd: number) => boolean) | null;
}

export function fileStat(stat: fs.Stats): FileStat {
  return {
    kind: kindOf(stat),
    size: stat.size,
    modified: stat.mtimeMs,
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    links: stat.nlink,
    inode: stat.ino,
    device: stat.dev,
  };
}

function kindOf(stat: fs.Stats): FileStat["kind"] {
  if (stat.isFile()) return "file";
  if (stat.isDirectory()) return "folder";
  if (stat.isSymbolicLink()) return "link";
  if (stat.isFIFO()) return "fifo";
  if (stat.isSocket()) return "socket";
  return "other";
}

type Done = (error: NodeJS.ErrnoException | null) => void;

/** One callback call of node:fs as a promise. */
function call(start: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => error ? reject(error) : resolve());
  });
}

/** What is left of the pieces after `written` bytes. */
function rest(pieces: readonly Uint8Array[], written: number): Uint8Array[] {
  let index = 0;
  while (index < pieces.length && written >= pieces[index]!.length) written -= pieces[index++]!.length;
  const left = pieces.slice(index);
  if (written > 0) left[0] = left[0]!.subarray(written);
  return left;
}

function writeSome(fd: number, pieces: readonly Uint8Array[], at: number | null, gather: boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    const done = (error: NodeJS.ErrnoException | null, written: number): void =>
      error ? reject(error) : resolve(written);
    if (pieces.length === 1 || !gather) {
      const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
      fs.write(fd, bytes, 0, bytes.length, at, done);
    } else {
      fs.writev(fd, pieces as Uint8Array[], at, done);
    }
  });
}

class NodeFile implements OpenFile {
  #closed = false;
  readonly #fd: number;
  readonly #options: FilesOptions;

  constructor(fd: number, options: FilesOptions) {
    this.#fd = fd;
    this.#options = options;
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(
        this.#fd,
        into,
        0,
        into.length,
        position,
        (error, bytesRead) => error ? reject(error) : resolve(bytesRead),
      );
    });
  }

  async write(pieces: readonly Uint8Array[], position: number | null): Promise<void> {
    let left: readonly Uint8Array[] = pieces;
    let at = position;
    while (left.length > 0) {
      const now = left.length > PIECES_AT_ONCE ? left.slice(0, PIECES_AT_ONCE) : left;
      let expected = 0;
      for (const piece of now) expected += piece.length;
      const written = expected === 0 ? 0 : await writeSome(this.#fd, now, at, this.#options.gather);
      if (expected > 0 && written === 0) {
        throw Object.assign(new Error("EIO: nothing was written"), { code: "EIO" });
      }
      if (at !== null) at += written;
      if (written === expected) left = now === left ? [] : left.slice(PIECES_AT_ONCE);
      else left = rest(left, written);
    }
  }

  sync(everything = false): Promise<void> {
    return call((done) => everything ? fs.fsync(this.#fd, done) : fs.fdatasync(this.#fd, done));
  }

  stat(): Promise<FileStat> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.#fd, (error, stat) => error ? reject(error) : resolve(fileStat(stat)));
    });
  }

  truncate(length: number): Promise<void> {
    return call((done) => fs.ftruncate(this.#fd, length, done));
  }

  setTimes(at: Millis): Promise<void> {
    return call((done) => fs.futimes(this.#fd, at / 1000, at / 1000, done));
  }

  setOwner(uid: number, gid: number): Promise<void> {
    return call((done) => fs.fchown(this.#fd, uid, gid, done));
  }

  setMode(mode: number): Promise<void> {
    return call((done) => fs.fchmod(this.#fd, mode, done));
  }

  tryLock(): Promise<boolean | null> {
    const flock = this.#options.flock;
    return new Promise((resolve) => resolve(flock === null ? null : flock(this.#fd)));
  }

  close(): Promise<void> {
    // The number may be another file's by now.
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    return call((done) => fs.close(this.#fd, done));
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await promises.open(path, O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function readInto(path: string, place: (size: number) => Uint8Array): Uint8Array {
  const file = fs.openSync(path, "r");
  try {
    const into = place(fs.fstatSync(file).size);
    let at = 0;
    while (at < into.length) {
      const count = fs.readSync(file, into, at, into.length - at, at);
      if (count === 0) break;
      at += count;
    }
    return into.subarray(0, at);
  } finally {
    fs.closeSync(file);
  }
}

export function nodeFiles(options: FilesOptions): Files {
  return {
    open: (path, mode, permissions = 0o600) =>
      new Promise((resolve, reject) => {
        const opened = (error: NodeJS.ErrnoException | null, fd: number): void =>
          error ? reject(error) : resolve(new NodeFile(fd, options));
        fs.open(path, FLAGS[mode], permissions, opened);
      }),
    read: (path) => promises.readFile(path),
    readSync: (path, place) => place === undefined ? fs.readFileSync(path) : readInto(path, place),
    stat: async (path) => fileStat(await promises.stat(path)),
    statSync: (path) => fileStat(fs.statSync(path)),
    statLink: async (path) => fileStat(await promises.lstat(path)),
    list: (path) => promises.readdir(path),
    makeFolder: (path, permissions) => call((done) => fs.mkdir(path, { mode: permissions }, done)),
    rename: (from, to) => promises.rename(from, to),
    link: (existing, name) => promises.link(existing, name),
    remove: (path) => promises.unlink(path),
    setMode: (path, mode) => promises.chmod(path, mode),
    setOwner: (path, uid, gid) => promises.chown(path, uid, gid),
    setTimes: (path, at) => promises.utimes(path, at / 1000, at / 1000),
    syncFolder,
    free: async (path) => {
      const system = await promises.statfs(path);
      return system.bavail * system.bsize;
    },
  };
}
