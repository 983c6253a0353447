/** A runtime whose files are the given texts, for tests that read configuration. */

import { latin1Decode, latin1Encode } from "../../src/latin1.ts";
import type { Runtime } from "../../src/runtime.ts";

export interface Fake {
  readonly runtime: Runtime;
  output: string;
  errors: string;
}

export function fakeRuntime(files: Readonly<Record<string, string>>, hostname = "mx1.example.org"): Fake {
  const fake = { output: "", errors: "" };
  const runtime = {
    name: "simulated",
    files: {
      readSync: (path: string): Uint8Array => {
        const text = files[path];
        if (text === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: "ENOENT" });
        return latin1Encode(text);
      },
    },
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
