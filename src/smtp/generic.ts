/**
 * smtp_generic_maps and lmtp_generic_maps (generic(5)): addresses that are good on this site only are replaced as mail
 * leaves it, in the envelope and in the headers. Stands before the agent that delivers; results and log keep the
 * addresses that were. A table that cannot answer defers.
 */

import type { ContentSource, DeliveryAgent, DeliveryRequest } from "../agent.ts";
import { HeaderStage } from "../cleanup/header-stage.ts";
import { HeaderBlock, HeaderWishes, SeenHeaders } from "../cleanup/headers.ts";
import type { Config } from "../config/config.ts";
import type { QueueId } from "../envelope.ts";
import { ResourceError } from "../errors.ts";
import { latin1Decode, latin1Encode } from "../latin1.ts";
import type { Logger } from "../log.ts";
import type { DeliveryResult } from "../status.ts";
import { ADDRESS_HEADERS, replaceAddresses } from "../trivial-rewrite/address-header.ts";
import type { AddressTables } from "../trivial-rewrite/address-tables.ts";
import { unquoted } from "../trivial-rewrite/tokens.ts";

export interface GenericOptions {
  readonly tables: AddressTables;
  readonly config: Pick<Config, "propagate_unmatched_extensions" | "header_address_token_limit" | "header_size_limit">;
  readonly log: Logger;
  /** The agent that sends what `content` gives. */
  readonly agent: (content: ContentSource) => DeliveryAgent;
  readonly content: ContentSource;
}

export class GenericAgent implements DeliveryAgent {
  readonly #options: GenericOptions;
  readonly #agent: DeliveryAgent;

  constructor(options: GenericOptions) {
    this.#options = options;
    this.#agent = options.agent({ pieces: () => null, read: (id) => this.#read(id) });
  }

  async deliver(request: DeliveryRequest, signal: AbortSignal): Promise<readonly DeliveryResult[]> {
    let mapped: DeliveryRequest;
    try {
      mapped = await this.#mapped(request);
    } catch (caught) {
      if (!(caught instanceof ResourceError)) throw caught;
      return request.recipients.map(() => deferred(caught.message));
    }
    // A message behind this one would have to be mapped before it may be sent: none is.
    return await this.#agent.deliver(mapped, signal, () => null);
  }

  close(): Promise<void> {
    return this.#agent.close();
  }

  async #mapped(request: DeliveryRequest): Promise<DeliveryRequest> {
    const { envelope } = request;
    const sender = envelope.sender === "" ? "" : await this.#one(envelope.sender);
    const recipients = await Promise.all(request.recipients.map(async (recipient) => {
      const original = recipient.original === "" ? recipient.address : recipient.original;
      return { ...recipient, address: await this.#one(recipient.address), original };
    }));
    return { ...request, envelope: { ...envelope, sender }, recipients };
  }

  /** Both in external form. Throws ResourceError. */
  async #one(address: string): Promise<string> {
    const { tables, config, log } = this.#options;
    const answer = await tables.map(unquoted(address), config.propagate_unmatched_extensions.includes("generic"));
    if (answer.kind === "none") return address;
    if (answer.kind === "unsure") throw new ResourceError("EIO", `${tables.title} map lookup problem for ${address}`);
    if (answer.addresses.length > 1) log.warn(`multi-valued ${tables.title} entry for ${address}`);
    return answer.addresses[0] as string;
  }

  async *#read(id: QueueId): AsyncIterable<Uint8Array> {
    const { config, content } = this.#options;
    const stage = new HeaderStage((bytes, start, end) => this.#header(bytes, start, end));
    const body: Uint8Array[] = [];
    let headers = true;
    const block = new HeaderBlock({ sizeLimit: config.header_size_limit }, {
      keep: (piece) => headers ? stage.keep(piece) : void body.push(piece),
      headersDone: () => void (headers = false),
    }, new SeenHeaders(new HeaderWishes([])));
    let inBody = false;
    for await (const piece of content.read(id)) {
      if (inBody) {
        yield piece;
        continue;
      }
      inBody = block.push(piece);
      if (inBody) yield* await written(stage, body);
    }
    if (inBody) return;
    block.end();
    yield* await written(stage, body);
  }

  #header(bytes: Uint8Array, start: number, end: number): Promise<Uint8Array | null> | null {
    const colon = bytes.indexOf(58, start);
    if (colon < 0 || colon - start > 32 || colon >= end) return null;
    const name = latin1Decode(bytes, start, colon).trimEnd();
    if (!ADDRESS_HEADERS.has(name.toLowerCase())) return null;
    const value = latin1Decode(bytes, colon + 1, end).replace(/\r\n$/, "").replaceAll("\r\n", "\n");
    const { header_address_token_limit: limit } = this.#options.config;
    return replaceAddresses(name, value, limit, (address) => this.#one(address))
      .then((text) => text === null ? null : latin1Encode(`${text}\r\n`));
  }
}

async function written(stage: HeaderStage, body: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
  const headers = await stage.finish();
  return "code" in headers ? body : [...headers, ...body];
}

function deferred(why: string): DeliveryResult {
  return {
    outcome: "deferred",
    scope: "recipient",
    status: "4.3.0",
    reason: why,
    remote: null,
    relay: "none",
    connectionUse: 0,
    connectedAt: 0,
  };
}
