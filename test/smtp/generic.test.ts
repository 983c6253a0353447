import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ContentSource, DeliveryRequest } from "../../src/agent.ts";
import { loadConfig } from "../../src/config/config.ts";
import { NO_CLIENT, plainRecipient } from "../../src/envelope.ts";
import { latin1Decode, latin1Encode } from "../../src/latin1.ts";
import type { Logger } from "../../src/log.ts";
import { GenericAgent } from "../../src/smtp/generic.ts";
import { AddressTables, tableWorld } from "../../src/trivial-rewrite/address-tables.ts";
import { AddressClasses } from "../../src/trivial-rewrite/resolve.ts";
import { configured } from "../config/fake-runtime.ts";

const CONTENT = "From: U <u@in.example>\r\nSubject: u@in.example\r\n\r\nu@in.example\r\n";

/** What an agent behind the table gets. */
async function sent(table: string): Promise<string> {
  const { runtime } = configured("recipient_delimiter = +\nmyorigin = home.example\n");
  const config = loadConfig(runtime, "/etc/postfix").main;
  const world = tableWorld(config, new AddressClasses(config, runtime), runtime, {});
  let got = "";
  const generic = new GenericAgent({
    tables: new AddressTables("smtp_generic_maps", [table], world),
    config,
    log: { warn: () => {} } as unknown as Logger,
    content: {
      pieces: () => null,
      async *read() {
        // In pieces that end anywhere.
        for (let at = 0; at < CONTENT.length; at += 9) {
          yield await Promise.resolve(latin1Encode(CONTENT.slice(at, at + 9)));
        }
      },
    },
    agent: (source: ContentSource) => ({
      async deliver(request: DeliveryRequest) {
        for await (const piece of source.read(request.queueId)) got += latin1Decode(piece);
        const to = request.recipients.map(({ address, original }) => `${address}(${original})`);
        got = `${request.envelope.sender} -> ${to.join(" ")}\n${got}`;
        return [];
      },
      close: () => Promise.resolve(),
    }),
  });
  const results = await generic.deliver({
    queueId: "Q",
    transport: "smtp",
    nexthop: "n",
    envelope: { sender: "u@in.example", arrived: 0, client: NO_CLIENT, encoding: "", ret: "", envid: "" },
    recipients: [plainRecipient("u+x@in.example"), plainRecipient("v@far.example")],
    size: CONTENT.length,
    activeAt: 0,
  }, new AbortController().signal);
  return results.length === 0 ? got : results.map(({ status, outcome }) => `${outcome} ${status}`).join(" ");
}

describe("addresses as mail leaves", () => {
  test("are replaced in envelope and headers, nowhere else, and their originals are kept", async () => {
    assert.equal(
      await sent("inline:{ {u@in.example = out@far.example} }"),
      "out@far.example -> out@far.example(u+x@in.example) v@far.example(v@far.example)\n" +
        "From: U <out@far.example>\r\nSubject: u@in.example\r\n\r\nu@in.example\r\n",
    );
  });

  test("wait for a table that cannot answer", async () => {
    assert.equal(await sent("fail:here"), "deferred 4.3.0 deferred 4.3.0");
  });
});
