/**
 * Rules that were broken on purpose, each seen here: replies counted against the wrong command, content taken for
 * commands, 550 blamed, nothing told when the connection is dropped.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Account } from "../../src/bounce/transcript.ts";
import { latin1Decode, latin1Encode } from "../../src/latin1.ts";
import type { Connection, ConnectionHandler, Network } from "../../src/runtime.ts";
import { overheard } from "../../src/smtp/overheard.ts";
import type { Protocol } from "../../src/smtp/parameters.ts";

interface Overheard {
  readonly told: { readonly by: string; readonly before: readonly string[]; readonly lines: readonly string[] }[];
  /** What passed through, both ways. */
  readonly passed: string;
}

/** A dialogue of lines "C: ..." and "S: ...", each a write; "end", "destroy", "close" end it. */
function listen(dialogue: readonly string[], protocol: Protocol = "smtp"): Overheard {
  const told: Overheard["told"][number][] = [];
  let passed = "";
  let server: ConnectionHandler | null = null;
  const connection: Connection = {
    localAddress: "127.0.0.1",
    write: (bytes) => (passed += latin1Decode(bytes), true),
    end: () => {},
    destroy: () => {},
  };
  const plain = { connect: (_address: unknown, handler: ConnectionHandler) => (server = handler, connection) };
  const tell = ({ by, before, transcript }: Account): Promise<void> => {
    told.push({ by, before, lines: transcript.lines() });
    return Promise.resolve();
  };
  const network = overheard(plain as unknown as Network, protocol, tell);
  const handler = {
    peer: { relay: "mx[192.0.2.1]:25" },
    open: () => {},
    drain: () => {},
    close: () => {},
    data: (chunk: Uint8Array) => void (passed += latin1Decode(chunk)),
  };
  const line = network.connect({ host: "192.0.2.1", port: 25 }, handler);
  for (const step of dialogue) {
    const bytes = latin1Encode(step.slice(3).replaceAll("|", "\r\n") + "\r\n");
    if (step === "close") server!.close(null);
    else if (step === "end") line.end();
    else if (step === "destroy") line.destroy();
    else if (step.startsWith("C")) line.write(bytes);
    else server!.data(bytes);
  }
  return { told, passed };
}

const HELLO = ["S: 220 mx", "C: EHLO me", "S: 250-mx|250 PIPELINING"];
const ENVELOPE = "C: MAIL FROM:<a@x>|RCPT TO:<b@y>|DATA";

describe("a conversation that is overheard", () => {
  it("is told when the server said what no server says", () => {
    const { told, passed } = listen([
      ...HELLO,
      ENVELOPE,
      "S: 250 Ok|501 what|554 none",
      "C: RSET",
      "S: 250 Ok",
      "C: QUIT",
      "end",
      "S: 221 bye",
      "close",
    ]);
    assert.deepEqual(told, [{
      by: "SMTP client",
      before: ["Unexpected response from mx[192.0.2.1]:25.", ""],
      lines: [
        "In:  220 mx",
        "Out: EHLO me",
        "In:  250-mx",
        "In:  250 PIPELINING",
        "Out: MAIL FROM:<a@x>",
        "Out: RCPT TO:<b@y>",
        "Out: DATA",
        "In:  250 Ok",
        "In:  501 what",
        "In:  554 none",
        "Out: RSET",
        "In:  250 Ok",
        "Out: QUIT",
      ],
    }]);
    assert.ok(passed.startsWith("220 mx\r\nEHLO me\r\n250-mx\r\n") && passed.endsWith("QUIT\r\n221 bye\r\n"));
  });

  /** What follows the handshake, and whether it is told. */
  const ROWS: readonly (readonly [string, readonly string[], boolean])[] = [
    ["all well", [ENVELOPE, "S: 250 Ok|250 Ok|354 go", "C: a: b||500 x|.", "S: 250 Ok"], false],
    ["a refusal", [ENVELOPE, "S: 250 Ok|550 no|554 none", "C: RSET", "S: 500 no"], false],
    ["no such option", [ENVELOPE, "S: 250 Ok|555 no|354 go", "C: .", "S: 500 nobody"], true],
    ["nobody left", [ENVELOPE, "S: 250 Ok|550 no|503 what", "C: RSET", "S: 250 Ok"], false],
    ["a sender refused", [ENVELOPE, "S: 550 no|503 what|503 what", "C: RSET", "S: 250 Ok"], false],
    ["no sequence", [ENVELOPE, "S: 503 what|503 what|503 what"], true],
    ["no content wanted", [ENVELOPE, "S: 250 Ok|250 Ok|502 what"], true],
    ["a message refused", [ENVELOPE, "S: 250 Ok|250 Ok|354 go", "C: x|.", "S: 554 no"], false],
    ["a message not understood", [ENVELOPE, "S: 250 Ok|250 Ok|354 go", "C: x|.", "S: 500 what"], true],
    ["content like commands", [ENVELOPE, "S: 250 Ok|250 Ok|354 go", "C: QUIT|..|DATA", "C: .", "S: 250 Ok"], false],
    ["garbage", ["C: NOOP", "S: hello|250 Ok"], true],
    ["a strange code", [ENVELOPE, "S: 250 Ok|650 what|354 go"], true],
    ["no goodbye", ["C: QUIT", "S: 500 what"], false],
  ];
  for (const [what, rows, expected] of ROWS) {
    for (const end of ["destroy", "close"]) {
      it(`is ${expected ? "" : "not "}told of ${what} (${end})`, () => {
        assert.equal(listen([...HELLO, ...rows, end]).told.length, expected ? 1 : 0);
      });
    }
  }

  it("begins anew with each message", () => {
    const bad = [ENVELOPE, "S: 250 Ok|501 what|554 no", "C: RSET", "S: 250 Ok"];
    const { told } = listen([
      ...HELLO,
      ...bad,
      ENVELOPE,
      "S: 250 Ok|250 Ok|354 go",
      "C: x|.",
      "S: 250 Ok",
      ...bad,
      "end",
    ]);
    assert.deepEqual(told.map(({ lines }) => lines[0]), ["In:  220 mx", "Out: MAIL FROM:<a@x>"]);
  });

  it("is not blamed for EHLO: there is HELO", () => {
    const start = ["S: 220 mx", "C: EHLO me", "S: 500 what", "C: HELO me"];
    assert.deepEqual(listen([...start, "S: 250 mx", "close"]).told, []);
    assert.equal(listen([...start, "S: 500 what", "close"]).told.length, 1);
    assert.equal(listen(["S: 220 mx", "C: LHLO me", "S: 500 what", "close"], "lmtp").told[0]!.by, "LMTP client");
    assert.equal(listen(["S: 500 what", "close"]).told.length, 1);
  });

  it("with LMTP has a reply for each recipient after the dot", () => {
    const start = ["S: 220 mx", "C: LHLO me", "S: 250 mx", "C: MAIL FROM:<a@x>|RCPT TO:<b@y>|RCPT TO:<c@y>|DATA"];
    const all = [...start, "S: 250 Ok|250 Ok|250 Ok|354 go", "C: x|.", "S: 250 Ok|500 what", "C: QUIT", "close"];
    const { told } = listen(all, "lmtp");
    assert.deepEqual(told[0]!.lines.slice(-4), ["Out: .", "In:  250 Ok", "In:  500 what", "Out: QUIT"]);
  });
});
