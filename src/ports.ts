/**
 * What the mail system listens on, across reloads: no client is refused meanwhile.
 *   bound --listen()--> served --hold()--> held: who connects waits --listen()--> served, those who waited first
 *                                          held --settle(), nobody has taken it over--> closed
 * Throws nothing of its own: listen() rejects with what the system says.
 */

import type { Listener, Network, Runtime, Socket } from "./runtime.ts";

const BACKLOG = 4096;
/** Clients that wait at one place, at most. */
const MOST_WAITING = 1_000;

type Accept = (socket: Socket) => void;

interface Place {
  readonly host: string;
  readonly port: number;
}

class Port {
  readonly place: Place;
  #listener: Listener | null = null;
  /** null: held. */
  #accept: Accept | null;
  #waiting: Socket[] = [];

  constructor(place: Place, accept: Accept) {
    this.place = place;
    this.#accept = accept;
  }

  get isHeld(): boolean {
    return this.#accept === null;
  }

  async bind(network: Network, failed: (error: Error) => void): Promise<void> {
    this.#listener = await network.listen(this.place, BACKLOG, (socket) => this.#take(socket), failed);
  }

  serve(accept: Accept): void {
    this.#accept = accept;
    for (const socket of this.#waiting.splice(0)) if (!socket.destroyed) accept(socket);
  }

  hold(): void {
    this.#accept = null;
  }

  async close(): Promise<void> {
    await this.#listener?.close();
    for (const socket of this.#waiting.splice(0)) socket.destroy();
  }

  #take(socket: Socket): void {
    if (this.#accept !== null) return this.#accept(socket);
    if (this.#waiting.length >= MOST_WAITING) return void socket.destroy();
    socket.on("error", () => socket.destroy());
    this.#waiting.push(socket);
  }
}

export class Ports {
  readonly #runtime: Runtime;
  #ports: Port[] = [];

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Serves that place from now on. */
  async listen(place: Place, accept: Accept, failed: (error: Error) => void): Promise<void> {
    const held = this.#ports.find((one) =>
      one.isHeld && one.place.host === place.host && one.place.port === place.port
    );
    if (held !== undefined) return held.serve(accept);
    const port = new Port(place, accept);
    await port.bind(this.#runtime.network!, failed);
    this.#ports.push(port);
  }

  /** Who connects from now on waits for the next who listens. */
  hold(): void {
    for (const port of this.#ports) port.hold();
  }

  /** Closes what nobody has taken over. */
  async settle(): Promise<void> {
    const left = this.#ports.filter(({ isHeld }) => isHeld);
    this.#ports = this.#ports.filter(({ isHeld }) => !isHeld);
    for (const port of left) await port.close();
  }

  close(): Promise<void> {
    this.hold();
    return this.settle();
  }
}
