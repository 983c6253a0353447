import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import { watchedNetwork } from "../../runtimes/deno-listen.ts";
import { nodeNetwork } from "../../runtimes/node-network.ts";
import type { Network, Socket } from "../../src/runtime.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Whether a server greets there. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    const end = (value: boolean): void => {
      socket.destroy();
      resolve(value);
    };
    socket.once("data", () => end(true));
    socket.once("error", () => end(false));
    socket.setTimeout(500, () => end(false));
  });
}

function greeting(accepted: Socket[]): (socket: Socket) => void {
  return (socket) => {
    accepted.push(socket);
    socket.on("error", () => {});
    socket.write("hello\n");
  };
}

test("a listener that went deaf is opened again; one that hears is left alone, and its owner sees no probe", {
  timeout: 20_000,
}, async () => {
  const base = nodeNetwork();
  let opened = 0;
  // The first one takes connections and tells nobody, as Deno's does after EMFILE.
  const deaf: Network = {
    ...base,
    listen: (address, backlog, accept, failed) => {
      const first = ++opened === 1;
      return base.listen(address, backlog, first ? () => {} : accept, failed);
    },
  };
  let heard = 0;
  const hearing: Network = {
    ...base,
    listen: (address, backlog, accept, failed) => {
      heard++;
      return base.listen(address, backlog, accept, failed);
    },
  };
  const lost: Socket[] = [];
  const seen: Socket[] = [];
  const one = await watchedNetwork(deaf).listen({ host: "127.0.0.1", port: 0 }, 8, greeting(lost), () => {});
  const other = await watchedNetwork(hearing).listen({ host: "127.0.0.1", port: 0 }, 8, greeting(seen), () => {});
  const { port } = one;
  try {
    assert.equal(await greets(port), false);
    assert.equal(await greets(other.port), true);
    await sleep(7_600);
    assert.equal(opened, 2);
    assert.equal(one.port, port);
    assert.equal(await greets(port), true);
    assert.equal(lost.length, 1);
    // Past its first idle time the other was probed.
    await sleep(3_000);
    assert.equal(await greets(other.port), true);
    assert.equal(seen.length, 2);
    assert.equal(heard, 1);
  } finally {
    await one.close();
    await other.close();
  }
  assert.equal(await greets(port), false);
});
