/**
 * A connection that comes through a load balancer: its PROXY header is read before SMTP begins.
 *   reading --header--> found(peer, rest) ;  --fault, end of input, smtpd_upstream_proxy_timeout--> failed(why)
 *   reading --connection gone, close()--> nothing
 */

import type { Clock, Millis, Socket, Timer } from "../runtime.ts";
import type { Peer } from "./dialogue.ts";
import { type Families, readProxyHeader } from "./haproxy.ts";

export interface UpstreamEnd {
  /** `peer` null: the connection speaks for itself. `rest`: what came behind the header. */
  found(peer: Peer | null, rest: Uint8Array): void;
  /** For the log. */
  failed(why: string): void;
  /** In any case, first. */
  over(): void;
}

export class UpstreamHeader {
  readonly #socket: Socket;
  readonly #families: Families;
  readonly #end: UpstreamEnd;
  readonly #timer: Timer;
  #bytes: Uint8Array = new Uint8Array(0);
  #done = false;

  constructor(socket: Socket, families: Families, clock: Clock, within: Millis, end: UpstreamEnd) {
    this.#socket = socket;
    this.#families = families;
    this.#end = end;
    this.#timer = clock.after(within, () => this.#incomplete("timeout error"));
    socket.on("data", (chunk) => this.#arrived(chunk));
    socket.on("end", () => this.#incomplete("EOF"));
    socket.on("error", () => this.#finish());
    socket.on("close", () => this.#finish());
  }

  close(): void {
    if (this.#finish()) this.#socket.destroy();
  }

  #arrived(chunk: Uint8Array): void {
    if (this.#done) return;
    const bytes = new Uint8Array(this.#bytes.length + chunk.length);
    bytes.set(this.#bytes);
    bytes.set(chunk, this.#bytes.length);
    this.#bytes = bytes;
    const read = readProxyHeader(bytes, this.#families);
    if (read.kind === "more" || !this.#finish()) return;
    if (read.kind === "bad") this.#end.failed(`${read.why}: ${escaped(bytes)}`);
    else this.#end.found(read.peer, bytes.subarray(read.length));
  }

  /** No more comes. */
  #incomplete(why: string): void {
    if (!this.#finish()) return;
    const read = this.#bytes.length === 0 ? null : readProxyHeader(this.#bytes, this.#families);
    this.#end.failed(read?.kind === "more" ? `${read.why}: ${escaped(this.#bytes)}` : why);
  }

  /** False: it was over already. */
  #finish(): boolean {
    if (this.#done) return false;
    this.#done = true;
    this.#timer.cancel();
    this.#end.over();
    return true;
  }
}

const ESCAPES: Readonly<Record<number, string>> = {
  7: "\\a",
  8: "\\b",
  9: "\\t",
  10: "\\n",
  11: "\\v",
  12: "\\f",
  13: "\\r",
  92: "\\\\",
};

/** As the log shows bytes: C's escapes. */
export function escaped(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    const plain = byte >= 32 && byte < 127 && byte !== 92;
    text += plain ? String.fromCharCode(byte) : ESCAPES[byte] ?? `\\${byte.toString(8).padStart(3, "0")}`;
  }
  return text;
}
