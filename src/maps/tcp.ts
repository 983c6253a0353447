/**
 * tcp:host:port (tcp_table(5)): a server is asked `get key` and answers 200 value, 400 text (try later) or 500 text
 * (not found), a line each, with %XX for what does not fit in one. A request that fails is made again, TRIES times in
 * all, a second apart; then the answer is "unsure".
 */

import { latin1Encode } from "../latin1.ts";
import type { Lookup } from "../lookup.ts";
import { NONE } from "../lookup.ts";
import type { TableType } from "./map.ts";
import { type Answered, type Framing, RequestClient } from "./request-client.ts";

const TRIES = 10;
const PAUSE = 1000;
const TIMEOUT = 100_000;
const MAX_REPLY = 4096;
const MAX_IDLE = 100_000;
const MAX_AGE = 24 * 3600_000;

/** One line, without its "\n". */
function line(received: string): Framing {
  const end = received.indexOf("\n");
  if (end >= 0 && end < MAX_REPLY) return { text: received.slice(0, end) };
  return end >= 0 || received.length >= MAX_REPLY ? "size" : "more";
}

/** Everything that is not printable, white space and "%" as %XX. */
export function hexQuoted(text: string): string {
  return text.replace(
    /[^!-$&-~]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}

/** Null when a "%" is followed by something else than two hexadecimal digits. */
export function hexUnquoted(text: string): string | null {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return null;
  return text.replace(/%(..)/g, (_all, digits: string) => String.fromCharCode(parseInt(digits, 16)));
}

export const tcpTable: TableType = (rest, { name, runtime, warn, fault }) => {
  const parts = /^(?:\[([^\]]*)\]|([^:]*)):([0-9]{1,5})$/.exec(rest);
  if (parts === null) return fault(`${name}: need host:port`);
  const host = parts[1] ?? parts[2] ?? "";
  const client = new RequestClient(runtime, {
    address: { host: host === "" ? "127.0.0.1" : host, port: Number(parts[3]) },
    timeout: TIMEOUT,
    maxIdle: MAX_IDLE,
    maxAge: MAX_AGE,
    frame: line,
  });
  const unsure: Lookup = { kind: "unsure", why: `table ${name}: query error` };
  const pause = (): Promise<void> => new Promise((resolve) => void runtime.clock.after(PAUSE, resolve));
  const failure = ({ kind, why }: Exclude<Answered, { kind: "reply" }>): string =>
    kind === "connect"
      ? `connect to TCP map ${rest}: ${why}`
      : kind === "size"
      ? `read TCP map reply from ${rest}: text longer than ${MAX_REPLY}`
      : `read TCP map reply from ${rest}: unexpected EOF (${why})`;
  const understood = (text: string): Lookup => {
    const shown = text.slice(0, 100);
    // deno-lint-ignore no-control-regex
    const value = /^[0-9]{3}[ \t\r\v\f]/.test(text) ? hexUnquoted(text.slice(4)) : null;
    if (value === null) warn(`read TCP map reply from ${rest}: malformed reply: ${shown}`);
    else if (text.startsWith("2")) return { kind: "found", value };
    else if (text.startsWith("5")) return NONE;
    else if (!text.startsWith("4")) warn(`read TCP map reply from ${rest}: bad status code: ${shown}`);
    return unsure;
  };
  return {
    name,
    pattern: true,
    get: async (key) => {
      const request = latin1Encode(`get ${hexQuoted(key)}\n`);
      for (let tries = 1;; tries++) {
        const answered = await client.ask(request);
        if (answered.kind === "reply") return understood(answered.text);
        warn(failure(answered));
        if (tries >= TRIES) return unsure;
        await pause();
      }
    },
  };
};
