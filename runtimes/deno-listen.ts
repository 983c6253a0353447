/**
 * Deno's listeners stop accepting for good after EMFILE in a burst of connections, and tell nobody. A listener on a
 * port is watched: idle --5 s without an accept--> probed (a connection to its own address) --accepted--> idle
 *                                             probed --2 s--> closed and opened again --> idle
 * The probe's own connection is known by its port and never reaches the owner. While the port of a probe is not known,
 * accepted sockets are held back. Unix sockets are not watched. Nothing here throws.
 */

import * as net from "node:net";
import type { ListenAddress, Listener, Network, Socket } from "../src/runtime.ts";

const IDLE = 5_000;
const PATIENCE = 2_000;

type Place = { readonly host: string; readonly port: number };
type Open = (place: Place) => Promise<Listener>;

/** Where a listener on that host is reached from here. */
function reachable(host: string): string {
  return host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
}

class Watched implements Listener {
  readonly #accept: (socket: Socket) => void;
  readonly #open: Open;
  #place: Place;
  #listener: Listener | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #closed = false;
  #busy = false;
  #probe: net.Socket | null = null;
  #probePort = 0;
  #held: Socket[] = [];

  constructor(place: Place, accept: (socket: Socket) => void, open: (accept: (socket: Socket) => void) => Open) {
    this.#place = place;
    this.#accept = accept;
    this.#open = open((socket) => this.#accepted(socket));
  }

  get port(): number {
    return this.#place.port;
  }

  async listen(): Promise<this> {
    this.#listener = await this.#open(this.#place);
    this.#place = { ...this.#place, port: this.#listener.port };
    this.#wait(IDLE);
    return this;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#endProbe();
    await this.#listener?.close();
  }

  #wait(time: number): void {
    if (this.#closed) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tick(), time);
  }

  #accepted(socket: Socket): void {
    this.#busy = true;
    if (this.#probe !== null && this.#probePort === 0) this.#held.push(socket);
    else this.#give(socket);
  }

  #give(socket: Socket): void {
    if (this.#probe !== null && socket.remotePort === this.#probePort) {
      socket.on("error", () => {});
      socket.destroy();
      this.#endProbe();
    } else if (this.#closed) socket.destroy();
    else this.#accept(socket);
  }

  #giveHeld(): void {
    for (const socket of this.#held.splice(0)) this.#give(socket);
  }

  #endProbe(): void {
    this.#probe?.destroy();
    this.#probe = null;
    this.#probePort = 0;
    this.#giveHeld();
  }

  #tick(): void {
    if (this.#probe !== null) return void this.#openAgain();
    if (this.#listener !== null && this.#busy) {
      this.#busy = false;
      return this.#wait(IDLE);
    }
    if (this.#listener === null) return void this.#openAgain();
    this.#busy = false;
    const probe = net.connect({ host: reachable(this.#place.host), port: this.#place.port });
    this.#probe = probe;
    probe.once("connect", () => {
      if (this.#probe !== probe) return;
      this.#probePort = probe.localPort ?? 0;
      this.#giveHeld();
    });
    // No descriptor, or refused: the first says nothing about the listener, the second that it is gone.
    probe.on("error", (error) => {
      if (this.#probe !== probe) return;
      this.#endProbe();
      if ((error as NodeJS.ErrnoException).code === "ECONNREFUSED") void this.#openAgain();
    });
    this.#wait(PATIENCE);
  }

  /** The probe waited in vain, or the last attempt to listen failed. */
  async #openAgain(): Promise<void> {
    const answered = this.#probe !== null && this.#busy;
    this.#endProbe();
    if (this.#closed || answered) return this.#wait(IDLE);
    const old = this.#listener;
    this.#listener = null;
    try {
      await old?.close();
      const opened = await this.#open(this.#place);
      if (this.#closed) return await opened.close();
      this.#listener = opened;
      this.#wait(IDLE);
    } catch {
      // The port or a descriptor is not free yet.
      this.#wait(PATIENCE);
    }
  }
}

export function watchedNetwork(network: Network): Network {
  const listen = (
    address: ListenAddress,
    backlog: number,
    accept: (socket: Socket) => void,
    failed: (error: Error) => void,
  ): Promise<Listener> => {
    if ("path" in address) return network.listen(address, backlog, accept, failed);
    return new Watched(address, accept, (take) => (place) => network.listen(place, backlog, take, failed)).listen();
  };
  return { ...network, listen };
}
