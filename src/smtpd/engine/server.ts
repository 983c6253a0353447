/**
 * The SMTP engine: smtp-server's SMTPServer with our Connection. It gets accepted sockets from the runtime's listener
 * and never listens itself. dismissAll() ends sessions for a shutdown or a reload.
 */

import { SMTPServer } from "smtp-server";
import type { Clock, Socket } from "../../runtime.ts";
import type { Dialogue, EngineOptions } from "../dialogue.ts";
import { Connection } from "./connection.ts";

/** Without TLS: smtp-server would make a context of its own certificate, whose key everybody has. */
class PlainServer extends SMTPServer {
  override updateSecureContext(): void {
    this.secureContext = new Map();
  }
}

export class Engine {
  readonly #server: SMTPServer;
  readonly #options: EngineOptions;
  readonly #clock: Clock;
  #sessions = 0;

  constructor(options: EngineOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#server = new PlainServer({
      logger: false,
      authOptional: true,
      hideSTARTTLS: true,
      disabledCommands: ["AUTH", "STARTTLS"],
      disableReverseLookup: true,
      socketTimeout: options.timeout,
    });
    // Socket errors of connections come back here; each connection has dealt with its own already.
    this.#server.on("error", () => {});
  }

  get size(): number {
    return this.#server.connections.size;
  }

  /** `input`: what was read from the socket already. */
  connect(socket: Socket, dialogue: Dialogue, input?: Uint8Array): void {
    const id = String(++this.#sessions);
    const connection = new Connection(this.#server, socket, id, dialogue, this.#options, this.#clock);
    this.#server.connections.add(connection);
    connection.init();
    if (input !== undefined && input.length > 0) connection.begin(input);
  }

  /** Sends the text to sessions and closes them; with `idleOnly` those in the middle of a message stay. */
  dismissAll(text: string, idleOnly: boolean): void {
    for (const connection of [...this.#server.connections] as Connection[]) {
      if (!idleOnly || connection.idle) connection.dismiss(text);
    }
  }
}
