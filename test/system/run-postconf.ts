/**
 * postconf as a test runs it: ours in this very process, and Debian's.
 */

import { spawn } from "node:child_process";
import { currentRuntime } from "../../runtimes/select.ts";
import { postconf } from "../../src/commands/postconf.ts";
import { latin1Decode } from "../../src/latin1.ts";

export const DEBIAN_POSTCONF = "/usr/sbin/postconf";

export interface Ran {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

export async function ours(words: readonly string[]): Promise<Ran> {
  const real = await currentRuntime();
  let output = "";
  let errors = "";
  const processes = Object.create(real.processes, {
    writeOutput: { value: (bytes: Uint8Array) => output += latin1Decode(bytes) },
    writeError: { value: (bytes: Uint8Array) => errors += latin1Decode(bytes) },
  });
  return { status: await postconf({ ...real, processes }, words), output, errors };
}

/** At the same time as others: a fatal error of Debian's sleeps a second. */
export function debians(words: readonly string[]): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(DEBIAN_POSTCONF, words, { argv0: "postconf" });
    let output = "";
    let errors = "";
    child.stdout.setEncoding("latin1").on("data", (text: string) => output += text);
    child.stderr.setEncoding("latin1").on("data", (text: string) => errors += text);
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output, errors }));
  });
}
