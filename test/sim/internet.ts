/**
 * The network of the simulated world: mail hosts by their addresses, and one name server. Packets take the time of
 * their way and keep their order. A process has its own view of it, and when that dies its connections do.
 */

import * as packet from "dns-packet";
import type {
  ConnectAddress,
  Connection,
  ConnectionHandler,
  Millis,
  Network,
  Timer,
  UdpSocket,
} from "../../src/runtime.ts";
import { latin1Encode } from "../../src/latin1.ts";
import type { Seeded } from "../queue/simulated-disk.ts";
import type { VirtualClock } from "./clock.ts";
import { HostSession, type MailHost } from "./mail-host.ts";

export const OWN_ADDRESS = "192.0.2.1";
export const NAME_SERVER = "192.0.2.53";
const DNS_LATENCY: Millis = 5;
const NO_ONE: Millis = 20;

/** What the name server says of a name and a type. */
export type Zone = (
  name: string,
  type: string,
) => readonly unknown[] | "NXDOMAIN" | "SERVFAIL" | "REFUSED" | "drop";

export class Internet {
  readonly clock: VirtualClock;
  readonly random: Seeded;
  readonly hosts = new Map<string, MailHost>();
  readonly zone: Zone;

  constructor(clock: VirtualClock, random: Seeded, zone: Zone) {
    this.clock = clock;
    this.random = random;
    this.zone = zone;
  }

  /** The reply to a question; null: none comes. */
  reply(query: Uint8Array): Uint8Array | null {
    const { id = 0, questions = [] } = packet.decode(query);
    const { name, type } = questions[0]!;
    const found = this.zone(name.toLowerCase(), type);
    if (found === "drop") return null;
    const codes = { SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 } as const;
    const records = typeof found === "string" ? [] : found;
    const soa = { mname: "ns.example", rname: "root.example", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 60 };
    return packet.encode({
      id,
      type: "response",
      flags: 1 << 7 | (typeof found === "string" ? codes[found] : 0),
      questions,
      answers: records.map((data) => ({ name, type, class: "IN", ttl: 60, data })),
      authorities: records.length === 0 ? [{ name: "example", type: "SOA", class: "IN", ttl: 60, data: soa }] : [],
    });
  }

  /** For one process. */
  join(): ProcessNetwork {
    return new ProcessNetwork(this);
  }
}

/** One connection, both ends of it. */
class Wire implements Connection {
  readonly localAddress = OWN_ADDRESS;
  readonly #internet: Internet;
  readonly #host: MailHost;
  readonly #handler: ConnectionHandler;
  #session: HostSession | null = null;
  #closed = false;

  constructor(internet: Internet, host: MailHost, handler: ConnectionHandler) {
    this.#internet = internet;
    this.#host = host;
    this.#handler = handler;
    // Null routed: no answer at all.
    const deed = host.act("connect", { sender: "", recipient: "", content: "" });
    if (deed === "silent") return;
    if (deed === "refused") this.#here(() => this.#close("ECONNREFUSED"));
    else this.#open();
  }

  #open(): void {
    this.#here(() => this.#handler.open());
    this.#there(() => {
      this.#session = new HostSession(this.#host, this.#internet.clock, {
        say: (text) => this.#said(text),
        hangUp: () => this.#here(() => this.#close(null)),
      });
    });
  }

  write(bytes: Uint8Array): boolean {
    const sent = bytes.slice();
    this.#there(() => this.#session?.receive(sent));
    if (this.#internet.random.below(20) > 0) return true;
    this.#here(() => this.#handler.drain());
    return false;
  }

  end(): void {
    this.#there(() => this.#session?.stop(false));
  }

  destroy(): void {
    this.#closed = true;
    this.#there(() => this.#session?.stop(false));
  }

  /** The process is gone; what it wrote may still be on its way, or not. */
  die(): void {
    this.#closed = true;
    if (this.#internet.random.below(2) === 0) this.#session?.stop(true);
    else this.#there(() => this.#session?.stop(true));
  }

  /** In pieces as the network likes. */
  #said(text: string): void {
    const { random } = this.#internet;
    const cut = random.below(8) === 0 ? random.below(text.length) : 0;
    for (const part of [text.slice(0, cut), text.slice(cut)]) {
      if (part !== "") this.#here(() => this.#handler.data(latin1Encode(part)));
    }
  }

  #close(code: string | null): void {
    this.#closed = true;
    this.#handler.close(code);
  }

  #there(action: () => void): void {
    this.#internet.clock.after(this.#host.latency, action);
  }

  #here(action: () => void): void {
    this.#internet.clock.after(this.#host.latency, () => {
      if (!this.#closed) action();
    });
  }
}

export class ProcessNetwork implements Network {
  readonly #internet: Internet;
  readonly #wires: Wire[] = [];
  #dead = false;

  constructor(internet: Internet) {
    this.#internet = internet;
  }

  die(): void {
    this.#dead = true;
    for (const wire of this.#wires) wire.die();
  }

  connect(address: ConnectAddress, handler: ConnectionHandler): Connection {
    const host = "host" in address ? this.#internet.hosts.get(address.host) : undefined;
    if (host !== undefined) {
      const wire = new Wire(this.#internet, host, handler);
      this.#wires.push(wire);
      return wire;
    }
    const refusing: Timer = this.#internet.clock.after(NO_ONE, () => {
      if (!this.#dead) handler.close("EHOSTUNREACH");
    });
    return { localAddress: OWN_ADDRESS, write: () => true, end: () => {}, destroy: () => refusing.cancel() };
  }

  udp(
    _family: 4 | 6,
    received: (packet: Uint8Array, host: string, port: number) => void,
  ): Promise<UdpSocket> {
    let closed = false;
    return Promise.resolve({
      send: (query: Uint8Array, host: string, port: number) => {
        const answer = host === NAME_SERVER ? this.#internet.reply(query) : null;
        if (answer === null) return;
        this.#internet.clock.after(2 * DNS_LATENCY, () => {
          if (!closed && !this.#dead) received(answer, host, port);
        });
      },
      close: () => void (closed = true),
    });
  }

  listen(): Promise<never> {
    return Promise.reject(new Error("nobody listens in the simulation"));
  }

  interfaces(): readonly { readonly address: string; readonly prefix: number; readonly name: string }[] {
    return [{ address: OWN_ADDRESS, prefix: 24, name: "eth0" }];
  }
}
