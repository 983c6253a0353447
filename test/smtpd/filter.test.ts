import assert from "node:assert/strict";
import { test } from "node:test";
import { latin1Decode, latin1Encode } from "../../src/latin1.ts";
import type { Logger } from "../../src/log.ts";
import { replyLine } from "../../src/reply.ts";
import { ContentEncoder } from "../../src/dot-stuffing.ts";
import { FilteredMessage } from "../../src/smtpd/filter.ts";
import { filterAddress, replyOf } from "../../src/smtpd/filter-connection.ts";
import { xforwardValues } from "../../src/xforward.ts";
import { NO_CLIENT } from "../../src/envelope.ts";
import { currentRuntime } from "../../runtimes/select.ts";
import { until } from "../postrider.ts";
import { type Script, scriptedServer } from "../smtp/scripted-server.ts";

const { network, clock } = await currentRuntime();

interface Told {
  readonly replies: string[];
  readonly commands: readonly string[];
  readonly contents: readonly string[];
  /** All that the filter read. */
  readonly chunks: string;
  readonly log: readonly string[];
}

/** A message with two recipients. */
async function filtered(script: Script, late = false, end: "finish" | "abort" = "finish"): Promise<Told> {
  const content = "Subject: x\r\n\r\n.dot\r\n";
  const server = await scriptedServer({ features: ["XFORWARD ADDR SOURCE"], xforward: "250 Ok", ...script });
  const log: string[] = [];
  const note = (text: string): void => void log.push(text.replaceAll(String(server.port), "PORT"));
  const logger: Logger = { info: note, warn: note, error: note, fatal: note, slot: () => logger };
  const name = `127.0.0.1:${server.port}`;
  const message = new FilteredMessage(
    {
      network: network!,
      clock,
      address: filterAddress(name, "")!,
      name,
      timeout: 1_000,
      logger,
      config: { smtpd_proxy_ehlo: "mx.example" },
      late,
    },
    {
      mail: "MAIL FROM:<a@x>",
      values: xforwardValues({ ...NO_CLIENT, address: "192.0.2.1" }, ""),
      opened: () => note("open"),
    },
  );
  const replies: string[] = [];
  for (const line of ["RCPT TO:<one@y>", "RCPT TO:<two@y>"]) {
    const refused = await message.filter.recipient(line);
    replies.push(refused === null ? "taken" : replyLine(refused));
  }
  const refused = await message.filter.startData();
  if (refused === null) {
    message.begin(null, "Received: here\r\n");
    for (const char of content) await message.data(latin1Encode(char));
    if (end === "finish") replies.push(replyLine((await message.finish()).answered));
    else await message.abort();
  } else {
    replies.push(replyLine(refused));
    await message.abort();
  }
  // Whatever was said before the connection ended has been read.
  await until(() => server.sessions.every(({ closed }) => closed), 2_000, () => "").catch(() => {});
  await server.close();
  return {
    replies,
    commands: server.sessions.flatMap(({ commands }) => commands).filter((line) => line !== "QUIT"),
    chunks: server.sessions.flatMap(({ chunks }) => chunks).join(""),
    contents: server.sessions.flatMap(({ contents }) => contents),
    log,
  };
}

const ALL = ["EHLO mx.example", "XFORWARD ADDR=192.0.2.1 SOURCE=LOCAL", "MAIL FROM:<a@x>", "RCPT TO:<one@y>"];

for (const late of [false, true]) {
  test(`a filter gets the message as the client sent it${late ? ", all at the end" : ""}`, async () => {
    const told = await filtered({ dot: "250 2.0.0 Ok: filtered" }, late);
    assert.deepEqual(told.replies, ["taken", "taken", "250 2.0.0 Ok: filtered"]);
    assert.deepEqual(told.commands, [...ALL, "RCPT TO:<two@y>", "DATA"]);
    assert.deepEqual(told.contents, ["Received: here\r\nSubject: x\r\n\r\n..dot\r\n"]);
  });
}

test("a message that is given up is not ended", async () => {
  for (const late of [false, true]) {
    const told = await filtered({}, late, "abort");
    assert.deepEqual([told.contents, told.chunks.includes("QUIT")], [[], false]);
  }
});

const DOWN = "451 4.3.0 Error: queue file write error";

test("the client hears what the filter says", async () => {
  const rows: readonly (readonly [Script, boolean, readonly string[]])[] = [
    [{ rcpt: ["550 5.1.1 no", "250 Ok"] }, false, ["550 5.1.1 no", "taken", "250 2.0.0 Ok: queued as SCRIPTED"]],
    [{ rcpt: ["250 Ok", "550-5.1.1 no\r\n550 5.1.1 never"] }, true, ["taken", "taken", "550 5.1.1 no never"]],
    [{ data: "451 4.3.0 later" }, false, ["taken", "taken", "451 4.3.0 later"]],
    [{ dot: "554 5.7.1 spam" }, true, ["taken", "taken", "554 5.7.1 spam"]],
    [{ dot: "close" }, false, ["taken", "taken", DOWN]],
    [{ rcpt: "close" }, false, [DOWN, DOWN, DOWN]],
    [{ greeting: "554 go away" }, true, ["taken", "taken", DOWN]],
    [{ ehlo: "silent" }, true, ["taken", "taken", DOWN]],
    [{ xforward: "550 no" }, true, ["taken", "taken", DOWN]],
  ];
  for (const [script, late, expected] of rows) {
    assert.deepEqual((await filtered(script, late)).replies, expected, JSON.stringify(script));
  }
});

test("the log says what the filter refused", async () => {
  const { log } = await filtered({ rcpt: ["550-5.1.1 no\r\n550 5.1.1 never", "250 Ok"], dot: "close" });
  assert.deepEqual(log, [
    "open",
    'proxy 127.0.0.1:PORT rejected "RCPT TO:<one@y>": "550-5.1.1 no??550 5.1.1 never"',
    "lost connection with proxy 127.0.0.1:PORT",
  ]);
});

test("services by host and port, port, and path", () => {
  const rows: readonly (readonly [string, unknown])[] = [
    ["127.0.0.1:10025", { host: "127.0.0.1", port: 10025 }],
    ["inet:[::1]:25", { host: "::1", port: 25 }],
    ["INET:host.example:25", { host: "host.example", port: 25 }],
    ["10025", { host: "localhost", port: 10025 }],
    [":10025", { host: "localhost", port: 10025 }],
    ["unix:private/filter", { path: "/queue/private/filter" }],
    ["unix:/run/filter", { path: "/run/filter" }],
    ["unix:", null],
    ["host.example", null],
  ];
  for (const [text, expected] of rows) assert.deepEqual(filterAddress(text, "/queue"), expected, text);
});

test("a reply's status is taken off when all of its lines have it", () => {
  assert.deepEqual(replyOf(["554-5.7.1 a", "554 5.7.1 b"]), {
    code: 554,
    status: "5.7.1",
    lines: ["a", "b"],
    close: false,
  });
  assert.deepEqual(replyOf(["554-5.7.1 a", "554 b"]), { code: 554, status: "", lines: ["5.7.1 a", "b"], close: false });
  assert.equal(replyOf(["421 4.7.0 bye"]).close, true);
});

test("a dot at the start of a line is doubled, wherever pieces end", () => {
  const text = ".a\r\n..\r\nb.c\r\n\r\n.\r\n";
  const expected = text.replace(/^\./gm, "..");
  for (let size = 1; size <= text.length; size++) {
    const encoder = new ContentEncoder(0);
    let out = "";
    for (let at = 0; at < text.length; at += size) {
      out += latin1Decode(encoder.encode(latin1Encode(text.slice(at, at + size))));
    }
    assert.equal(out, expected);
  }
});
