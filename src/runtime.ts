/**
 * What the outside world offers to Postrider. `src/` never touches a runtime's own API: everything that reads a clock,
 * a file or a socket goes through one Runtime, made in `runtimes/` (or by test/sim).
 * A capability that a runtime lacks is null; callers ask for the capability, never for the runtime's name.
 */

/** Milliseconds since 1970-01-01T00:00:00Z, or a length of time in milliseconds. */
export type Millis = number;

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock. */
  now(): Millis;
  /** Never goes back; its zero is arbitrary; sub-millisecond fraction. */
  monotonic(): Millis;
  after(delay: Millis, action: () => void): Timer;
  /** Runs after the I/O events that are ready now (setImmediate). */
  soon(action: () => void): void;
  /** Offset of local time from UTC at that moment, in minutes east. */
  zoneMinutes(at: Millis): number;
  /** Short name of the local time zone at that moment: "UTC", "CET" (or "GMT+1" where the runtime knows no better). */
  zoneName(at: Millis): string;
}

export interface Random {
  /** Uniform integer in [0, limit). Not for secrets. */
  below(limit: number): number;
  /** Cryptographically strong. */
  bytes(count: number): Uint8Array;
}

export interface FileStat {
  readonly kind: "file" | "folder" | "link" | "fifo" | "socket" | "other";
  readonly size: number;
  readonly modified: Millis;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  readonly inode: number;
  readonly device: number;
}

/**
 * How a file is opened. "create" fails with EEXIST when the name exists; "append" and "write" make the file if
 * needed.
 */
export type OpenMode = "read" | "read-write" | "create" | "append" | "write";

export interface OpenFile {
  /** Reads up to into.length bytes at a position; 0 at the end. */
  read(into: Uint8Array, position: number): Promise<number>;
  /** Writes all pieces in order at a position (null: where the file stands). */
  write(pieces: readonly Uint8Array[], position: number | null): Promise<void>;
  /** fdatasync; with `everything` fsync: mode and owner too. */
  sync(everything?: boolean): Promise<void>;
  stat(): Promise<FileStat>;
  truncate(length: number): Promise<void>;
  setTimes(at: Millis): Promise<void>;
  setOwner(uid: number, gid: number): Promise<void>;
  setMode(mode: number): Promise<void>;
  /** flock(2) exclusive: true when taken, false when another process holds it, null when the runtime cannot. */
  tryLock(): Promise<boolean | null>;
  close(): Promise<void>;
}

/** Errors are FileError with the system's code ("ENOENT", "ENOSPC", …). */
export interface Files {
  open(path: string, mode: OpenMode, permissions?: number): Promise<OpenFile>;
  read(path: string): Promise<Uint8Array>;
  /** `place`: gives the memory for that many bytes, which are read into it; the answer is a view of it. */
  readSync(path: string, place?: (size: number) => Uint8Array): Uint8Array;
  stat(path: string): Promise<FileStat>;
  statSync(path: string): FileStat;
  /** lstat: does not follow a symbolic link at the end. */
  statLink(path: string): Promise<FileStat>;
  list(path: string): Promise<string[]>;
  makeFolder(path: string, permissions: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  link(existing: string, name: string): Promise<void>;
  remove(path: string): Promise<void>;
  setMode(path: string, mode: number): Promise<void>;
  setOwner(path: string, uid: number, gid: number): Promise<void>;
  setTimes(path: string, at: Millis): Promise<void>;
  /** fsync of a folder, so that names in it survive a power cut. */
  syncFolder(path: string): Promise<void>;
  /** Bytes free for ordinary users on the file system of that path. */
  free(path: string): Promise<number>;
}

/** node:net compatible socket, as far as src/ uses it. Only smtpd/engine and the control sockets see it. */
export interface Socket {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly destroyed: boolean;
  readonly writableLength: number;
  setNoDelay(on?: boolean): unknown;
  setTimeout(ms: number): unknown;
  pause(): unknown;
  resume(): unknown;
  write(data: Uint8Array | string, encoding?: "latin1"): boolean;
  end(data?: Uint8Array | string, encoding?: "latin1"): unknown;
  destroy(error?: Error): unknown;
  on(event: "data", listener: (chunk: Uint8Array) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "close" | "end" | "drain" | "timeout", listener: () => void): unknown;
}

export interface Listener {
  /** The bound port (0 for a unix socket). */
  readonly port: number;
  close(): Promise<void>;
}

export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/** What an outgoing connection tells its owner; each is called at most once, but data and drain. */
export interface ConnectionHandler {
  open(): void;
  data(chunk: Uint8Array): void;
  /** All that was written has left the process. */
  drain(): void;
  /** The other side closed, or error: the system's code ("ECONNREFUSED", "ECONNRESET", …) when it failed. Last call. */
  close(error: FileErrorCode | null): void;
}

export type FileErrorCode = string;

/** An outgoing connection. */
export interface Connection {
  readonly localAddress: string;
  /** Takes the bytes (by reference); false: wait for drain before writing more. */
  write(bytes: Uint8Array): boolean;
  /** Half-closes after what was written; the handler still gets close(). */
  end(): void;
  /** Drops the connection; the handler gets no further call. */
  destroy(): void;
}

export type ConnectAddress =
  | { readonly host: string; readonly port: number; readonly bind?: string }
  | { readonly path: string };

export interface UdpSocket {
  send(packet: Uint8Array, host: string, port: number): void;
  close(): void;
}

export interface Network {
  listen(
    address: ListenAddress,
    backlog: number,
    accept: (socket: Socket) => void,
    failed: (error: Error) => void,
  ): Promise<Listener>;
  connect(address: ConnectAddress, handler: ConnectionHandler): Connection;
  udp(
    family: 4 | 6,
    received: (packet: Uint8Array, host: string, port: number) => void,
    failed: (error: Error) => void,
  ): Promise<UdpSocket>;
  /** Addresses of this host's interfaces with their network size: `{address: "127.0.0.1", prefix: 8}`. */
  interfaces(): readonly { readonly address: string; readonly prefix: number; readonly name: string }[];
}

export interface SpawnOptions {
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly folder?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** "ignore": /dev/null and no tie to this process (a daemon); "inherit": this process's own streams. */
  readonly streams: "pipe" | "ignore" | "inherit";
}

export interface Child {
  readonly pid: number;
  /** With streams "pipe": what the child writes to its output and error output. */
  readonly output: AsyncIterable<Uint8Array> | null;
  write(bytes: Uint8Array): Promise<void>;
  closeInput(): void;
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  kill(signal: Signal): void;
}

export type Signal = "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGKILL" | "SIGUSR1" | "SIGUSR2" | "SIGALRM";

export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
  readonly fullName: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** This process and other processes. */
/** As a program of that kind wants it. */
export interface StartEnvironments {
  /** Serves for long. */
  readonly server: Readonly<Record<string, string>>;
  /** Goes through much, keeps little and ends: a heap that grows late. */
  readonly tool: Readonly<Record<string, string>>;
}

export interface Processes {
  readonly pid: number;
  /** The name the program was called by (argv[0]) and its arguments. */
  readonly programName: string;
  readonly arguments: readonly string[];
  readonly environment: Environment;
  readonly hostname: string;
  readonly cores: number;
  uid(): number;
  gid(): number;
  workingFolder(): string;
  /** setgroups to the group alone, setgid, setuid: for good. */
  becomeUser(user: User): void;
  spawn(command: string, options: SpawnOptions): Child;
  /** How to start this program again: the runtime's path and the arguments before ours. */
  readonly self: { readonly command: string; readonly arguments: readonly string[] };
  /** What the runtime reads of the environment when it starts. */
  readonly environmentOf: StartEnvironments;
  /** execve(2): this process goes on with another program. Returns only where that cannot be done. */
  become(command: string, options: { readonly arguments: readonly string[]; readonly environment: Environment }): void;
  onSignal(signal: Signal, action: () => void): void;
  /** False when there is no such process. */
  kill(pid: number, signal: Signal | 0): boolean;
  readInput(): AsyncIterable<Uint8Array>;
  /** Written at once, in order, before anything else happens. */
  writeOutput(bytes: Uint8Array): void;
  writeError(bytes: Uint8Array): void;
  exit(code: number): never;
  setExitCode(code: number): void;
  memory(): { readonly heap: number; readonly resident: number };
  setUmask(mask: number): number;
}

export interface Runtime {
  readonly name: "node" | "bun" | "deno" | "edge" | "simulated";
  readonly clock: Clock;
  readonly random: Random;
  /** CRC-32 (IEEE) of the bytes, going on from a former value. */
  crc32(bytes: Uint8Array, former?: number): number;
  readonly files: Files | null;
  readonly network: Network | null;
  readonly processes: Processes | null;
}
