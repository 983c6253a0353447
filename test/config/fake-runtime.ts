/** A runtime whose files are the given texts, for tests that read configuration. */

import { latin1Decode, latin1Encode } from "../../src/latin1.ts";
import type { Runtime } from "../../src/runtime.ts";

export interface Fake {
  readonly runtime: Runtime;
  output: string;
  errors: string;
  /** The clock, in milliseconds; files count as changed at their time in `modified`, or at 0. */
  now: number;
  readonly modified: Record<string, number>;
}

export function fakeRuntime(files: Readonly<Record<string, string>>, hostname = "mx1.example.org"): Fake {
  const fake = { output: "", errors: "", now: 1e12, modified: {} as Record<string, number> };
  const textOf = (path: string): string => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: "ENOENT" });
    return text;
  };
  const runtime = {
    name: "simulated",
    files: {
      readSync: (path: string): Uint8Array => latin1Encode(textOf(path)),
      statSync: (path: string) => ({
        kind: "file",
        size: textOf(path).length,
        modified: fake.modified[path] ?? 0,
        inode: 1,
      }),
    },
    clock: { now: () => fake.now, monotonic: () => fake.now },
    network: {
      interfaces: () => [
        { address: "127.0.0.1", prefix: 8, name: "lo" },
        { address: "192.0.2.2", prefix: 24, name: "eth0" },
        { address: "::1", prefix: 128, name: "lo" },
        { address: "fd00::2", prefix: 64, name: "eth0" },
      ],
    },
    processes: {
      hostname,
      pid: 77,
      cores: 4,
      programName: "/usr/sbin/postrider",
      environment: {},
      writeOutput: (bytes: Uint8Array) => fake.output += latin1Decode(bytes),
      writeError: (bytes: Uint8Array) => fake.errors += latin1Decode(bytes),
    },
  };
  return Object.assign(fake, { runtime: runtime as unknown as Runtime });
}

/** main.cf and, optionally, master.cf in /etc/postfix. */
export function configured(main: string, master = "", hostname?: string): Fake {
  return fakeRuntime({ "/etc/postfix/main.cf": main, "/etc/postfix/master.cf": master }, hostname);
}
