/**
 * The kinds of error that Postrider throws; every expected outcome is a returned value instead.
 * Caught at four borders: session command, delivery, queue scan, command line.
 */

/** main.cf, master.cf or a table cannot be used. `faults` lists every one found, each with file and line. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(faults.join("\n"));
    this.faults = faults;
  }
}

/** The machine ran out of something (disk, descriptors, memory): the work is put off, never dropped. */
export class ResourceError extends Error {
  override readonly name = "ResourceError";
  /** System code such as ENOSPC, EIO, EMFILE. */
  readonly code: string;
  /** What is stored is not what was stored, or is gone: to ask again is no use. */
  readonly damaged: boolean;
  constructor(code: string, message: string, damaged = false) {
    super(message);
    this.code = code;
    this.damaged = damaged;
  }
}

/** The peer went away, or the work was called off. */
export class AbortError extends Error {
  override readonly name = "AbortError";
}

/** A rule of the program itself is broken. */
export function assert(condition: boolean, rule: string): asserts condition {
  if (!condition) throw new Error(`broken rule: ${rule}`);
}

/** The system's error code ("ENOENT") of something caught, or "" when it has none. */
export function systemCode(caught: unknown): string {
  const code = typeof caught === "object" && caught !== null ? (caught as { code?: unknown }).code : undefined;
  return typeof code === "string" ? code : "";
}

export function messageOf(caught: unknown): string {
  return caught instanceof Error ? caught.message : String(caught);
}

/** strerror(3) of what a connection can fail with. */
const SYSTEM_WORDS: Readonly<Record<string, string>> = {
  EACCES: "Permission denied",
  EADDRINUSE: "Address already in use",
  EADDRNOTAVAIL: "Cannot assign requested address",
  EAFNOSUPPORT: "Address family not supported by protocol",
  EAGAIN: "Resource temporarily unavailable",
  ECONNABORTED: "Software caused connection abort",
  ECONNREFUSED: "Connection refused",
  ECONNRESET: "Connection reset by peer",
  EHOSTDOWN: "Host is down",
  EHOSTUNREACH: "No route to host",
  EINVAL: "Invalid argument",
  EMFILE: "Too many open files",
  ENETDOWN: "Network is down",
  ENETUNREACH: "Network is unreachable",
  ENFILE: "Too many open files in system",
  ENOENT: "No such file or directory",
  ENOTSOCK: "Socket operation on non-socket",
  EPERM: "Operation not permitted",
  EPIPE: "Broken pipe",
  ETIMEDOUT: "Connection timed out",
};

export function systemWords(code: string): string {
  return SYSTEM_WORDS[code] ?? code;
}

/** What is thrown at once is as what is thrown later. */
export function attempt<T>(action: () => T): T | Promise<never> {
  try {
    return action();
  } catch (caught) {
    return Promise.reject(caught as Error);
  }
}
