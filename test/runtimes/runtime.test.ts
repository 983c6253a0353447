/**
 * One suite for the Runtime of every runtime: run it with node --test, bun test and deno test.
 */

import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { rmSync } from "node:fs";
import { currentRuntime } from "../../runtimes/select.ts";
import { systemCode } from "../../src/errors.ts";
import { latin1Decode, latin1Encode } from "../../src/latin1.ts";
import type { Connection, ConnectionHandler, Socket } from "../../src/runtime.ts";

const runtime = await currentRuntime();
const files = runtime.files!;
const network = runtime.network!;
const processes = runtime.processes!;
const folder = mkdtempSync(join(tmpdir(), "postrider-runtime-"));

after(() => rmSync(folder, { recursive: true }));

const codeIs = (code: string) => (error: unknown): boolean => systemCode(error) === code;

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => runtime.clock.after(ms, resolve));
}

describe("clock and random", () => {
  it("a timer fires, a cancelled one does not", async () => {
    let fired = "";
    runtime.clock.after(5, () => fired += "a");
    runtime.clock.after(1, () => fired += "b").cancel();
    runtime.clock.after(5e9, () => fired += "c").cancel();
    await wait(30);
    assert.equal(fired, "a");
  });
  it("soon runs after promises", async () => {
    const order: string[] = [];
    const soon = new Promise<void>((resolve) => runtime.clock.soon(() => (order.push("soon"), resolve())));
    await Promise.resolve().then(() => order.push("promise"));
    await soon;
    assert.deepEqual(order, ["promise", "soon"]);
  });
  it("monotonic time has fractions and does not go back", () => {
    const first = runtime.clock.monotonic();
    assert.ok(runtime.clock.monotonic() >= first);
  });
  it("random numbers stay below their limit", () => {
    for (let i = 0; i < 1000; i++) {
      const number = runtime.random.below(7);
      assert.ok(Number.isInteger(number) && number >= 0 && number < 7);
    }
    assert.equal(runtime.random.bytes(100_000).length, 100_000);
  });
  it("crc32 goes on from a former value", () => {
    assert.equal(runtime.crc32(latin1Encode("123456789")), 0xcbf43926);
    assert.equal(runtime.crc32(latin1Encode("6789"), runtime.crc32(latin1Encode("12345"))), 0xcbf43926);
  });
});

describe("files", () => {
  it("writes many pieces by reference and reads them back", async () => {
    const pieces = Array.from({ length: 3000 }, (_, i) => new Uint8Array(i % 50).fill(i));
    const file = await files.open(join(folder, "pieces"), "create");
    await file.write(pieces, 0);
    await file.sync();
    const expected = pieces.reduce((sum, piece) => sum + piece.length, 0);
    assert.equal((await file.stat()).size, expected);
    const back = new Uint8Array(expected);
    assert.equal(await file.read(back, 0), expected);
    assert.deepEqual(back, new Uint8Array(Buffer.concat(pieces)));
    assert.equal(await file.read(back, expected), 0);
    await file.write([latin1Encode("xyz"), latin1Encode("")], 10);
    await file.close();
    assert.equal(latin1Decode(await files.read(join(folder, "pieces")), 10, 13), "xyz");
    await files.syncFolder(folder);
  });
  it("append adds, write empties, create wants a new name", async () => {
    const path = join(folder, "modes");
    for (const text of ["one", "two"]) {
      const file = await files.open(path, "append", 0o640);
      await file.write([latin1Encode(text)], null);
      await file.close();
    }
    assert.equal(latin1Decode(files.readSync(path)), "onetwo");
    await assert.rejects(files.open(path, "create"), codeIs("EEXIST"));
    await (await files.open(path, "write")).close();
    assert.equal((await files.stat(path)).size, 0);
    await assert.rejects(files.open(join(folder, "none"), "read"), codeIs("ENOENT"));
    assert.throws(() => files.readSync(join(folder, "none")), codeIs("ENOENT"));
  });
  it("sets times, modes, links and names", async () => {
    const path = join(folder, "names");
    const file = await files.open(path, "create", 0o600);
    await file.setTimes(4e12);
    await file.setMode(0o700);
    await file.truncate(100);
    await file.close();
    const stat = await files.stat(path);
    assert.deepEqual([stat.kind, stat.mode, stat.size, stat.links], ["file", 0o700, 100, 1]);
    await files.setTimes(path, 3e12);
    assert.equal(files.statSync(path).modified, 3e12);
    await files.link(path, path + ".2");
    await assert.rejects(files.link(path, path + ".2"), codeIs("EEXIST"));
    await files.rename(path + ".2", path + ".3");
    assert.equal((await files.statLink(path + ".3")).links, 2);
    await files.remove(path + ".3");
    await files.makeFolder(path + ".folder", 0o700);
    assert.equal((await files.stat(path + ".folder")).kind, "folder");
    assert.deepEqual((await files.list(folder)).filter((name) => name.startsWith("names")).sort(), [
      "names",
      "names.folder",
    ]);
    assert.ok(await files.free(folder) > 0);
  });
  it("flock is taken once, where there is flock", async () => {
    const first = await files.open(join(folder, "lock"), "write");
    const second = await files.open(join(folder, "lock"), "write");
    const taken = await first.tryLock();
    assert.equal(taken, runtime.name === "node" ? null : true);
    if (taken !== null) assert.equal(await second.tryLock(), false);
    await first.close();
    if (taken !== null) assert.equal(await second.tryLock(), true);
    await second.close();
  });
});

/** A handler that notes what happens, and waits for the end. */
function recorder(): { handler: ConnectionHandler; events: string[]; bytes: () => number; closed: Promise<void> } {
  const events: string[] = [];
  let bytes = 0;
  let finish = (): void => {};
  const closed = new Promise<void>((resolve) => finish = resolve);
  const handler: ConnectionHandler = {
    open: () => void events.push("open"),
    data: (chunk) => {
      bytes += chunk.length;
      if (chunk.length < 100) events.push(latin1Decode(chunk));
    },
    drain: () => {
      if (events.at(-1) !== "drain") events.push("drain");
    },
    close: (error) => {
      events.push(`close ${error}`);
      finish();
    },
  };
  return { handler, events, bytes: () => bytes, closed };
}

const failed = (error: Error): never => {
  throw error;
};

describe("network", () => {
  it("both sides talk, the client half-closes and still reads", async () => {
    const listener = await network.listen({ host: "127.0.0.1", port: 0 }, 10, (socket: Socket) => {
      let got = "";
      socket.on("data", (chunk) => got += latin1Decode(chunk));
      socket.on("end", () => socket.end(`got ${got}`, "latin1"));
    }, failed);
    const { handler, events, closed } = recorder();
    const connection = network.connect({ host: "127.0.0.1", port: listener.port }, handler);
    connection.write(latin1Encode("hello"));
    connection.end();
    await closed;
    assert.deepEqual(events.filter((event) => event !== "drain"), ["open", "got hello", "close null"]);
    await listener.close();
  });
  it("30 MB in both directions at once arrive whole, with drain", async () => {
    const size = 30_000_000;
    const piece = runtime.random.bytes(100_000);
    let crc = 0;
    const listener = await network.listen({ path: "\0postrider-test-" + processes.pid }, 10, (socket) => {
      socket.on("data", (chunk) => {
        crc = runtime.crc32(chunk, crc);
        if (!socket.write(chunk)) socket.pause();
      });
      socket.on("drain", () => socket.resume());
      socket.on("end", () => socket.end());
    }, failed);
    const { handler, bytes, closed } = recorder();
    let sent = 0;
    let expected = 0;
    const pump = (connection: Connection): void => {
      while (sent < size) {
        sent += piece.length;
        expected = runtime.crc32(piece, expected);
        if (!connection.write(piece)) return;
      }
      connection.end();
    };
    const connection: Connection = network.connect({ path: "\0postrider-test-" + processes.pid }, {
      ...handler,
      open: () => pump(connection),
      drain: () => pump(connection),
    });
    await closed;
    assert.equal(bytes(), size);
    assert.equal(crc, expected);
    await listener.close();
  });
  it("a refused connection closes with its code; a destroyed one says nothing more", async () => {
    const { handler, events, closed } = recorder();
    network.connect({ host: "127.0.0.1", port: 1 }, handler);
    await closed;
    assert.deepEqual(events, ["close ECONNREFUSED"]);
    const second = recorder();
    network.connect({ host: "127.0.0.1", port: 1 }, second.handler).destroy();
    await wait(50);
    assert.deepEqual(second.events, []);
  });
  it("a peer that resets is an error, one that closes is not", async () => {
    const listener = await network.listen({ host: "127.0.0.1", port: 0 }, 10, (socket) => {
      socket.write("bye", "latin1");
      socket.end();
    }, failed);
    const { handler, events, closed } = recorder();
    const bound = network.connect({ host: "127.0.0.1", port: listener.port, bind: "127.0.0.2" }, {
      ...handler,
      open: () => events.push(bound.localAddress),
    });
    await closed;
    assert.deepEqual(events, ["127.0.0.2", "bye", "close null"]);
    await listener.close();
  });
  it("a stale unix socket is replaced, a living one is not", async () => {
    const path = join(folder, "socket");
    const server = await network.listen({ path }, 1, (socket) => {
      socket.on("error", () => {});
      socket.end("alive", "latin1");
    }, failed);
    await assert.rejects(network.listen({ path }, 1, () => {}, failed), codeIs("EADDRINUSE"));
    await server.close();
    const abstract = { path: "\0postrider-lock-" + processes.pid };
    const lock = await network.listen(abstract, 1, () => {}, failed);
    await assert.rejects(network.listen(abstract, 1, () => {}, failed), codeIs("EADDRINUSE"));
    await lock.close();
    await wait(20);
    await (await network.listen(abstract, 1, () => {}, failed)).close();
  });
  it("UDP answers, and interfaces have a prefix", async () => {
    const got: string[] = [];
    let port = 0;
    const listener = await network.listen({ host: "127.0.0.1", port: 0 }, 1, () => {}, failed);
    port = listener.port;
    await listener.close();
    const socket = await network.udp(4, (packet) => got.push(latin1Decode(packet)), () => {});
    socket.send(latin1Encode("x"), "127.0.0.1", port);
    await wait(20);
    socket.close();
    socket.close();
    assert.deepEqual(got, []);
    assert.ok(network.interfaces().some(({ address, prefix }) => address === "127.0.0.1" && prefix === 8));
  });
});

describe("processes", () => {
  const environment = { PATH: "/usr/bin:/bin" };
  it("a child reads its input and its two outputs come back", async () => {
    const child = processes.spawn("/bin/sh", {
      arguments: ["-c", "cat; echo problem >&2; exit 75"],
      environment,
      streams: "pipe",
    });
    await child.write(latin1Encode("input\n"));
    child.closeInput();
    let text = "";
    for await (const chunk of child.output!) text += latin1Decode(chunk);
    assert.deepEqual(text.split("\n").sort(), ["", "input", "problem"]);
    assert.deepEqual(await child.exited, { code: 75, signal: null });
  });
  it("a child survives a signal that it handles, and dies by one that it does not", async () => {
    const child = processes.spawn("/bin/sh", {
      arguments: ["-c", "trap 'echo hup' HUP; echo ready; while :; do sleep 0.02; done"],
      environment,
      streams: "pipe",
    });
    let text = "";
    for await (const chunk of child.output!) {
      text += latin1Decode(chunk);
      if (text === "ready\n") child.kill("SIGHUP");
      if (text.includes("hup")) child.kill("SIGKILL");
    }
    assert.deepEqual(await child.exited, { code: null, signal: "SIGKILL" });
  });
  it("a program that does not exist rejects exited", async () => {
    const child = processes.spawn("/no/such/program", { arguments: [], environment, streams: "pipe" });
    await assert.rejects(child.exited, codeIs("ENOENT"));
  });
  it("starts itself again with arguments", async () => {
    writeFileSync(join(folder, "package.json"), `{"type":"module"}`);
    const script = join(folder, "again.ts");
    const select = new URL("../../runtimes/select.ts", import.meta.url).href;
    writeFileSync(
      script,
      `import { currentRuntime } from ${JSON.stringify(select)};
      const { processes } = await currentRuntime();
      const text = JSON.stringify([processes.arguments, processes.self.arguments.at(-1)]);
      processes.writeOutput(new TextEncoder().encode(text + " ".repeat(300000)));
      processes.exit(3);`,
    );
    const before = processes.self.arguments.slice(0, -1).filter((argument) => !argument.startsWith("--test"));
    const first = runtime.name === "deno" ? ["run", "-A", "--no-check"] : before;
    const child = processes.spawn(processes.self.command, {
      arguments: [...first, script, "-x", "y z"],
      environment: { ...environment, HOME: folder, NODE_NO_WARNINGS: "1" },
      streams: "pipe",
    });
    let text = "";
    for await (const chunk of child.output!) text += latin1Decode(chunk);
    assert.equal(text.length, 300_000 + text.trimEnd().length);
    assert.deepEqual(JSON.parse(text), [["-x", "y z"], script]);
    assert.equal((await child.exited).code, 3);
  });
  it("signals arrive, and a process that is gone is reported", async () => {
    let got = 0;
    processes.onSignal("SIGHUP", () => got++);
    assert.equal(processes.kill(processes.pid, "SIGHUP"), true);
    await wait(50);
    assert.equal(got, 1);
    assert.equal(processes.kill(0x3fffff, 0), false);
  });
  it("root becomes another user for good", async () => {
    if (processes.uid() !== 0) return;
    const script = join(folder, "user.ts");
    const select = new URL("../../runtimes/select.ts", import.meta.url).href;
    writeFileSync(
      script,
      `import { currentRuntime } from ${JSON.stringify(select)};
      import { readFileSync } from "node:fs";
      const { processes } = await currentRuntime();
      processes.becomeUser({ name: "x", uid: 65534, gid: 65534, home: "/", shell: "", fullName: "" });
      const status = readFileSync("/proc/self/status", "latin1");
      console.log(/Groups:\\s*(.*)/.exec(status)[1].trim(), processes.uid(), processes.gid());`,
    );
    const first = runtime.name === "deno" ? ["run", "-A", "--no-check"] : [];
    const child = processes.spawn(processes.self.command, {
      arguments: [...first, script],
      environment: { ...environment, HOME: folder, NODE_NO_WARNINGS: "1" },
      streams: "pipe",
    });
    let text = "";
    for await (const chunk of child.output!) text += latin1Decode(chunk);
    assert.equal(text.trim(), "65534 65534 65534");
  });
  it("knows itself", () => {
    assert.ok(processes.memory().resident > 1e6);
    assert.ok(processes.cores >= 1 && processes.hostname !== "" && processes.workingFolder() !== "");
    const former = processes.setUmask(0o027);
    assert.equal(processes.setUmask(former), 0o027);
  });
});
