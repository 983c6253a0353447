/**
 * postsuper -r: a message of the queue goes through cleanup again, as pickup(8) hands it in where Postfix has moved it
 * to maildrop: tables, content checks and content_filter as they are now, for the recipients that still wait. The new
 * message has another queue id, the same arrival time, and one Received header more.
 */

import type { ContentSource } from "./agent.ts";
import { handedIn, type HandInServices } from "./cleanup/hand-in.ts";
import type { Envelope } from "./envelope.ts";
import { localReceived } from "./header.ts";
import type { Logger } from "./log.ts";
import type { QueueEntry } from "./queue/store.ts";

/** Many messages may be requeued together; so many are under way. */
const AT_ONCE = 16;

export class Requeue {
  readonly #services: HandInServices;
  readonly #content: ContentSource;
  readonly #logger: Logger;
  #underWay = 0;
  readonly #turns: (() => void)[] = [];

  constructor(services: HandInServices, content: ContentSource) {
    this.#services = services;
    this.#content = content;
    this.#logger = services.log.service("pickup");
  }

  /** True: the new message is durable, or went back to its sender, or was discarded. False: not now. ResourceError. */
  async take(entry: QueueEntry): Promise<boolean> {
    if (this.#underWay >= AT_ONCE) await new Promise<void>((resolve) => this.#turns.push(resolve));
    this.#underWay++;
    try {
      return await this.#take(entry);
    } finally {
      this.#underWay--;
      this.#turns.shift()?.();
    }
  }

  async #take(entry: QueueEntry): Promise<boolean> {
    const { runtime, config, cleanup } = this.#services;
    const { sender, arrived, client, notice } = entry.envelope;
    const envelope = this.#envelope(entry);
    const overridden = config.receive_override_options;
    const message = cleanup.open();
    const uid = runtime.processes?.uid() ?? 0;
    this.#logger.info(`${message.id}: uid=${uid} from=<${sender}> orig_id=${entry.id}`);
    try {
      message.begin(
        {
          sender,
          arrived,
          ...client.protocol === "" ? {} : { client },
          complete: client.remote !== true,
          checked: !overridden.includes("no_header_body_checks"),
          unmapped: overridden.includes("no_address_mappings"),
          internal: notice !== undefined,
          recipient: envelope.recipients.at(-1)?.address ?? "",
          returned: true,
        },
        localReceived(config, runtime.clock, { id: message.id, at: arrived, from: `, from userid ${uid}` }),
      );
      for await (const piece of this.#content.read(entry.id)) await message.data(piece);
      return await handedIn(this.#services, message.id, envelope, await message.finish(envelope));
    } catch (caught) {
      await message.abort();
      throw caught;
    }
  }

  #envelope({ envelope, waiting, attempts }: QueueEntry): Envelope {
    const { content_filter } = this.#services.config;
    const fresh: { -readonly [Key in keyof Envelope]: Envelope[Key] } = {
      ...envelope,
      recipients: waiting.map(({ recipient }) => recipient),
    };
    delete fresh.filter;
    if (content_filter !== "") fresh.filter = content_filter;
    // The first attempt told of them.
    if (attempts > 0) delete fresh.expanded;
    return fresh;
  }
}
