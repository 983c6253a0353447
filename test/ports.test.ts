import assert from "node:assert/strict";
import net from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { currentRuntime } from "../runtimes/select.ts";
import { Ports } from "../src/ports.ts";
import type { Socket } from "../src/runtime.ts";
import { freePort, sleep, until } from "./postrider.ts";

const runtime = await currentRuntime();
const host = "127.0.0.1";

let ports: Ports;
let port: number;
const clients = new Set<net.Socket>();
beforeEach(async () => {
  ports = new Ports(runtime);
  port = await freePort();
});
afterEach(async () => {
  for (const client of clients) client.destroy();
  clients.clear();
  await ports.close();
});

/** A client, and what it was told. */
function connect(): { client: net.Socket; told: () => string; refused: () => boolean } {
  const client = net.connect(port, host);
  clients.add(client);
  let [text, refused] = ["", false];
  client.on("data", (chunk) => text += chunk.toString());
  client.on("error", () => refused = true);
  return { client, told: () => text, refused: () => refused };
}

const saying = (word: string) => (socket: Socket): void => {
  socket.on("error", () => socket.destroy());
  socket.end(word);
};
const failed = (error: Error): void => assert.fail(error);

async function tells(word: string, client = connect()): Promise<void> {
  await until(() => client.told() === word, 5_000, () => `told "${client.told()}", refused ${client.refused()}`);
}

describe("ports", () => {
  it("who connects between two owners is served by the next, and nobody by the former", async () => {
    await ports.listen({ host, port }, saying("first"), failed);
    await tells("first");
    ports.hold();
    const waiting = [connect(), connect(), connect()];
    waiting[1]!.client.destroy();
    await sleep(100);
    assert.deepEqual(waiting.map(({ told }) => told()), ["", "", ""]);
    await ports.listen({ host, port }, saying("second"), failed);
    await tells("second", waiting[0]);
    await tells("second", waiting[2]);
    await tells("second");
    await ports.settle();
    await tells("second");
  });
  it("what nobody takes over is closed, with who waits there", async () => {
    await ports.listen({ host, port }, saying("first"), failed);
    ports.hold();
    const waiting = connect();
    let closed = false;
    waiting.client.on("close", () => closed = true);
    await sleep(100);
    await ports.settle();
    await until(() => closed, 5_000, () => "it still waits");
    const late = connect();
    await until(late.refused, 5_000, () => "not refused");
  });
  it("a place that is served is not given twice", async () => {
    await ports.listen({ host, port }, saying("first"), failed);
    await assert.rejects(ports.listen({ host, port }, saying("second"), failed), { code: "EADDRINUSE" });
    await tells("first");
  });
});
