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
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
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
