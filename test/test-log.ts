/**
 * A log that a test can read.
 */

import { latin1Decode } from "../src/latin1.ts";
import { Log } from "../src/log.ts";
import type { Clock } from "../src/runtime.ts";

/** `write` gets whole lines, as Latin-1 text. */
export function testLog(clock: Clock, write: (text: string) => void = () => {}): Log {
  return new Log({
    clock,
    hostname: "mx",
    name: "postfix",
    format: "postfix",
    pid: 1,
    write: (bytes) => write(latin1Decode(bytes)),
  });
}
