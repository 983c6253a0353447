/**
 * A message of sendmail -bs on its way into the maildrop folder. The envelope stands first in the file and is known
 * last, so the content waits in memory: one message at a time, at most message_size_limit.
 *   begin() --data()*--> finish(): on disk | abort(): forgotten
 */

import type { Envelope } from "../envelope.ts";
import { latin1Encode } from "../latin1.ts";
import { maildropPreface } from "../maildrop.ts";
import type { Runtime } from "../runtime.ts";
import { Drop, dropName } from "./drop.ts";

export class MaildropSink {
  readonly id: string;
  readonly #runtime: Runtime;
  readonly #queueDirectory: string;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(runtime: Runtime, queueDirectory: string) {
    this.id = dropName(runtime);
    this.#runtime = runtime;
    this.#queueDirectory = queueDirectory;
  }

  get size(): number {
    return this.#bytes;
  }

  begin(_origin: unknown, trace: string): void {
    this.data(latin1Encode(trace));
  }

  data(piece: Uint8Array): null {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    return null;
  }

  /** Durable when it resolves. */
  async finish(envelope: Envelope): Promise<{ readonly queuedAs: string }> {
    const drop = await Drop.open(this.#runtime, this.#queueDirectory, this.id);
    try {
      await drop.write(maildropPreface({
        sender: envelope.sender,
        fullName: null,
        recipients: envelope.recipients.map(({ address }) => address),
        encoding: envelope.encoding,
        notify: [],
        ret: "",
        envid: "",
      }));
      for (const piece of this.#pieces) await drop.write(piece);
    } catch (caught) {
      await drop.abort().catch(() => {});
      throw caught;
    }
    await drop.commit();
    return { queuedAs: this.id };
  }

  abort(): Promise<void> {
    this.#pieces = [];
    return Promise.resolve();
  }
}
