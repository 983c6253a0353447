/**
 * A disk that can lose power. What was written but not synced may be there after the cut in any part: each write whole,
 * torn at a 512-byte sector, or not at all; each name as before or as after. It can also fail on demand.
 *   running --cut(at an operation)--> dead (nothing answers any more) --afterCut()--> a new disk with what is left
 */

import type { Clock, Files, FileStat, OpenFile, Runtime, Timer } from "../../src/runtime.ts";

export class Seeded {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }
  /** mulberry32 */
  next(): number {
    this.#state = this.#state + 0x6d2b79f5 >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ t >>> 15, t | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return ((t ^ t >>> 14) >>> 0) / 4294967296;
  }
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }
  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i++) bytes[i] = this.below(256);
    return bytes;
  }
}

interface Change {
  readonly position: number;
  /** null: the file gets this length. */
  readonly bytes: Uint8Array | null;
}

class Inode {
  readonly number: number;
  readonly kind: "file" | "folder";
  data = new Uint8Array(0);
  size = 0;
  durable = new Uint8Array(0);
  unsynced: Change[] = [];

  constructor(number: number, kind: "file" | "folder") {
    this.number = number;
    this.kind = kind;
  }

  change({ position, bytes }: Change): void {
    const end = bytes === null ? position : Math.max(this.size, position + bytes.length);
    if (end > this.data.length) {
      const grown = new Uint8Array(end * 2);
      grown.set(this.data.subarray(0, this.size));
      this.data = grown;
    }
    if (end < this.size) this.data.fill(0, end, this.size);
    this.size = end;
    if (bytes !== null) this.data.set(bytes, position);
  }

  bytes(): Uint8Array {
    return this.data.subarray(0, this.size);
  }
}

interface NameChange {
  readonly folder: string;
  readonly set: readonly (readonly [string, Inode | null])[];
}

export function diskError(code: string): Error {
  return Object.assign(new Error(`${code}: simulated`), { code });
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";

export class SimulatedDisk {
  readonly names = new Map<string, Inode>();
  readonly #durableNames = new Map<string, Inode>();
  #nameChanges: NameChange[] = [];
  readonly #random: Seeded;
  #inodes = 1;
  operations = 0;
  /** Power goes at this operation. */
  cutAt = Infinity;
  dead = false;
  #died: () => void = () => {};
  readonly died: Promise<void> = new Promise((resolve) => this.#died = resolve);
  /** A code makes the operation fail ("write" and "sync" of files may have happened in part). */
  fault: (operation: string, path: string) => string | null = () => null;
  readonly history: string[] = [];
  /** Segments on which a write or sync failed, and those that were written all the same. */
  readonly failed = new Set<string>();
  readonly violations: string[] = [];

  constructor(random: Seeded) {
    this.#random = random;
    const root = new Inode(this.#inodes++, "folder");
    this.names.set("/queue", root);
    this.#durableNames.set("/queue", root);
  }

  cut(): void {
    this.dead = true;
    this.#died();
  }

  /** The process died, the machine lives on: all is there, and what was not synced is still not. */
  afterKill(): SimulatedDisk {
    const disk = new SimulatedDisk(this.#random);
    disk.#inodes = this.#inodes;
    for (const [path, inode] of this.names) disk.names.set(path, inode);
    for (const [path, inode] of this.#durableNames) disk.#durableNames.set(path, inode);
    disk.#nameChanges = this.#nameChanges;
    return disk;
  }

  /** The disk as the next start finds it. */
  afterCut(): SimulatedDisk {
    const random = this.#random;
    const names = new Map(this.#durableNames);
    for (const { set } of this.#nameChanges) {
      if (random.below(2) === 0) continue;
      for (const [path, inode] of set) inode === null ? names.delete(path) : names.set(path, inode);
    }
    const disk = new SimulatedDisk(random);
    disk.#inodes = this.#inodes;
    for (const [path, inode] of names) {
      if (path !== "/queue" && !names.has(folderOf(path))) continue;
      const left = new Inode(inode.number, inode.kind);
      left.change({ position: 0, bytes: inode.durable.slice() });
      for (const change of inode.unsynced) this.#survive(left, change);
      left.durable = left.bytes().slice();
      disk.names.set(path, left);
      disk.#durableNames.set(path, left);
    }
    return disk;
  }

  #survive(left: Inode, change: Change): void {
    const fate = this.#random.below(3);
    if (fate === 0) return;
    if (fate === 1 || change.bytes === null) return left.change(change);
    for (let at = 0; at < change.bytes.length; at += 512) {
      if (this.#random.below(4) === 0) continue;
      left.change({ position: change.position + at, bytes: change.bytes.subarray(at, at + 512) });
    }
  }

  /** One operation: takes a while, may fail, may be the last. */
  async #step<T>(operation: string, path: string, action: () => T): Promise<T> {
    if (++this.operations >= this.cutAt) this.cut();
    if (this.dead) return new Promise(() => {});
    this.history.push(`${operation} ${path}`);
    const code = this.fault(operation, path);
    if (path.endsWith(".log") && (operation === "write" || operation === "sync")) {
      if (this.failed.has(path)) this.violations.push(`${operation} ${path} after a failure`);
      if (code !== null) this.failed.add(path);
    }
    for (let turns = this.#random.below(3); turns >= 0; turns--) await new Promise((resolve) => setImmediate(resolve));
    if (this.dead) return new Promise(() => {});
    if (code !== null) throw diskError(code);
    return action();
  }

  #find(path: string): Inode {
    const inode = this.names.get(path);
    if (inode === undefined) throw diskError("ENOENT");
    return inode;
  }

  #name(folder: string, set: readonly (readonly [string, Inode | null])[]): void {
    for (const [path, inode] of set) inode === null ? this.names.delete(path) : this.names.set(path, inode);
    this.#nameChanges.push({ folder, set });
  }

  #stat(inode: Inode): FileStat {
    return {
      kind: inode.kind,
      size: inode.size,
      modified: 0,
      mode: 0o600,
      uid: 0,
      gid: 0,
      links: 1,
      inode: inode.number,
      device: 1,
    };
  }

  #file(path: string, inode: Inode): OpenFile {
    const write = (pieces: readonly Uint8Array[], position: number): void => {
      for (const piece of pieces) {
        const change = { position, bytes: piece.slice() };
        inode.change(change);
        inode.unsynced.push(change);
        position += piece.length;
      }
    };
    return {
      read: (into, position) =>
        this.#step("read", path, () => {
          const bytes = inode.bytes().subarray(position, position + into.length);
          into.set(bytes);
          return bytes.length;
        }),
      write: async (pieces, position) => {
        const at = position ?? inode.size;
        try {
          await this.#step("write", path, () => write(pieces, at));
        } catch (error) {
          // A write that fails may have done anything up to all of it.
          write(pieces.slice(0, this.#random.below(pieces.length + 1)), at);
          throw error;
        }
      },
      sync: () =>
        this.#step("sync", path, () => {
          inode.durable = inode.bytes().slice();
          inode.unsynced = [];
        }),
      stat: () => this.#step("stat", path, () => this.#stat(inode)),
      truncate: (length) =>
        this.#step("truncate", path, () => {
          inode.change({ position: length, bytes: null });
          inode.unsynced.push({ position: length, bytes: null });
        }),
      setTimes: () => this.#step("setTimes", path, () => {}),
      setOwner: () => this.#step("setOwner", path, () => {}),
      setMode: () => this.#step("setMode", path, () => {}),
      tryLock: () => Promise.resolve(null),
      close: () => this.#step("close", path, () => {}),
    };
  }

  readonly files: Files = {
    open: (path, mode) =>
      this.#step("open", path, () => {
        let inode = this.names.get(path);
        if (mode === "create" && inode !== undefined) throw diskError("EEXIST");
        if (inode === undefined) {
          if (mode === "read" || mode === "read-write") throw diskError("ENOENT");
          this.#find(folderOf(path));
          inode = new Inode(this.#inodes++, "file");
          this.#name(folderOf(path), [[path, inode]]);
        } else if (mode === "write") {
          inode.change({ position: 0, bytes: null });
          inode.unsynced.push({ position: 0, bytes: null });
        }
        return this.#file(path, inode);
      }),
    read: (path) => this.#step("readAll", path, () => this.#find(path).bytes().slice()),
    readSync: (path) => this.#find(path).bytes().slice(),
    stat: (path) => this.#step("stat", path, () => this.#stat(this.#find(path))),
    statSync: (path) => this.#stat(this.#find(path)),
    statLink: (path) => this.#step("stat", path, () => this.#stat(this.#find(path))),
    list: (path) =>
      this.#step("list", path, () => {
        this.#find(path);
        const all = [...this.names.keys()].filter((name) => name !== path && folderOf(name) === path);
        return all.map((name) => name.slice(path.length + 1));
      }),
    makeFolder: (path) =>
      this.#step("makeFolder", path, () => {
        if (this.names.has(path)) throw diskError("EEXIST");
        this.#find(folderOf(path));
        this.#name(folderOf(path), [[path, new Inode(this.#inodes++, "folder")]]);
      }),
    rename: (from, to) =>
      this.#step("rename", from, () => this.#name(folderOf(to), [[to, this.#find(from)], [from, null]])),
    link: (existing, name) =>
      this.#step("link", name, () => this.#name(folderOf(name), [[name, this.#find(existing)]])),
    remove: (path) =>
      this.#step("remove", path, () => {
        this.#find(path);
        this.#name(folderOf(path), [[path, null]]);
      }),
    setMode: () => Promise.resolve(),
    setOwner: () => Promise.resolve(),
    setTimes: () => Promise.resolve(),
    syncFolder: (path) =>
      this.#step("syncFolder", path, () => {
        for (const { folder, set } of this.#nameChanges) {
          if (folder !== path) continue;
          for (const [name, inode] of set) {
            inode === null ? this.#durableNames.delete(name) : this.#durableNames.set(name, inode);
          }
        }
        this.#nameChanges = this.#nameChanges.filter(({ folder }) => folder !== path);
      }),
    free: () => Promise.resolve(1e9),
  };
}

/** Time that goes on by one millisecond at each turn of the event loop while somebody waits for it. */
export function simulatedClock(disk: () => SimulatedDisk): Clock {
  let now = 1_800_000_000_000;
  const after = (delay: number, action: () => void): Timer => {
    let cancelled = false;
    const owner = disk();
    const turn = (left: number): void => {
      if (cancelled || owner.dead) return;
      if (left <= 0) return action();
      now++;
      setImmediate(() => turn(left - 1));
    };
    turn(Math.max(1, delay));
    return { cancel: () => void (cancelled = true) };
  };
  return {
    now: () => now,
    monotonic: () => now,
    after,
    soon: (action) => void setImmediate(action),
    zoneMinutes: () => 0,
    zoneName: () => "UTC",
  };
}

export function simulatedRuntime(disk: SimulatedDisk, random: Seeded, crc32: Runtime["crc32"]): Runtime {
  return {
    name: "simulated",
    clock: simulatedClock(() => disk),
    random: { below: (limit) => random.below(limit), bytes: (count) => random.bytes(count) },
    crc32,
    files: disk.files,
    network: null,
    processes: null,
  };
}
