/**
 * socketmap:inet:host:port:name and socketmap:unix:path:name (socketmap_table(5)): a server is asked `name key` and
 * answers OK, NOTFOUND, TEMP, TIMEOUT or PERM, each as one netstring. A server that fails makes the answer "unsure".
 */

import { latin1Encode } from "../latin1.ts";
import type { Lookup } from "../lookup.ts";
import { NONE } from "../lookup.ts";
import type { ConnectAddress } from "../runtime.ts";
import type { TableType } from "./map.ts";
import { type Answered, type Framing, RequestClient } from "./request-client.ts";

const TIMEOUT = 100_000;
const MAX_IDLE = 10_000;
const MAX_AGE = 100_000;
const MAX_REPLY = 100_000;
/** A length of more digits is no length. */
const LENGTH_DIGITS = 9;

const FAULTS: Readonly<Record<string, string>> = {
  lost: "unexpected disconnect",
  time: "time limit exceeded",
  format: "input format error",
  size: "input exceeds size limit",
};
const CLASSES: Readonly<Record<string, string>> = { TEMP: "temporary", TIMEOUT: "timeout", PERM: "permanent" };

/** A netstring (cr.yp.to/proto/netstrings.txt): length ":" bytes ",". */
export function netstring(received: string): Framing {
  const colon = received.indexOf(":");
  const digits = colon < 0 ? received : received.slice(0, colon);
  if (!/^[0-9]*$/.test(digits)) return "format";
  if (digits.length > LENGTH_DIGITS) return "size";
  if (colon < 0) return "more";
  if (digits === "") return "format";
  const length = Number(digits);
  if (length > MAX_REPLY) return "size";
  const end = colon + 1 + length;
  if (received.length <= end) return "more";
  return received[end] === "," ? { text: received.slice(colon + 1, end) } : "format";
}

/** "inet:host:port" or "unix:path"; text: why it is neither. */
function addressOf(server: string): ConnectAddress | string {
  const colon = server.indexOf(":");
  const transport = server.slice(0, colon);
  const endpoint = server.slice(colon + 1);
  if (transport === "unix") return { path: endpoint };
  if (transport !== "inet") return `invalid transport name: ${transport} in service: ${server}`;
  const port = /^(?:\[([^\]]*)\]|([^:]*)):([0-9]{1,5})$/.exec(endpoint);
  if (port === null) return `bad host:port in service: ${server}`;
  const host = port[1] ?? port[2] ?? "";
  return { host: host === "" ? "127.0.0.1" : host, port: Number(port[3]) };
}

export const socketmapTable: TableType = (rest, { name, runtime, warn, fault }) => {
  const colon = rest.lastIndexOf(":");
  if (colon < 0) return fault("socketmap requires server:socketmap argument");
  const address = addressOf(rest.slice(0, colon));
  if (typeof address === "string") return fault(address);
  const place = "path" in address ? address.path : `${address.host}:${address.port}`;
  const map = rest.slice(colon + 1);
  const client = new RequestClient(runtime, {
    address,
    timeout: TIMEOUT,
    maxIdle: MAX_IDLE,
    maxAge: MAX_AGE,
    frame: netstring,
  });
  const unsure: Lookup = { kind: "unsure", why: `table ${name}: query error` };
  const understood = (answered: Answered): Lookup => {
    if (answered.kind !== "reply") {
      if (answered.kind === "connect") warn(`connect to ${place}: ${answered.why}`);
      warn(`table ${name} lookup error: ${FAULTS[answered.kind] ?? answered.why}`);
      return unsure;
    }
    // A C string ends at a NUL.
    const text = answered.text.split("\0", 1)[0]!;
    const space = text.indexOf(" ");
    const word = space < 0 ? text : text.slice(0, space);
    const payload = space < 0 ? null : text.slice(space + 1);
    if (word === "OK") return payload === null ? NONE : { kind: "found", value: payload };
    if (word === "NOTFOUND") return NONE;
    const why = (payload ?? "").trimStart().slice(0, 200);
    warn(`${name} socketmap server ${CLASSES[word] ?? "unknown"} error${why === "" ? "" : `: ${why}`}`);
    return unsure;
  };
  return {
    name,
    pattern: true,
    get: (key) => {
      const query = latin1Encode(`${map} ${key}`);
      return client.ask(latin1Encode(`${query.length}:${map} ${key},`)).then(understood);
    },
  };
};
