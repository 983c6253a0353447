import assert from "node:assert/strict";
import { test } from "node:test";
import { latin1Encode } from "../../src/latin1.ts";
import type { Clock, Socket } from "../../src/runtime.ts";
import { escaped, UpstreamHeader } from "../../src/smtpd/upstream.ts";

/** A connection by hand: what happens to it, and what came of it. */
class Desk {
  readonly told: string[] = [];
  readonly header: UpstreamHeader;
  readonly #listeners: Record<string, (value?: unknown) => void> = {};
  timeout = (): void => {};

  constructor() {
    const socket = {
      on: (event: string, listener: (value?: unknown) => void) => (this.#listeners[event] = listener),
      destroy: () => this.told.push("destroyed"),
    } as unknown as Socket;
    const clock = {
      after: (_delay: number, action: () => void) => {
        this.timeout = action;
        return { cancel: () => this.timeout = () => {} };
      },
    } as unknown as Clock;
    this.header = new UpstreamHeader(socket, { ipv4: true, ipv6: true }, clock, 5_000, {
      found: (peer, rest) => this.told.push(`${peer?.address ?? "itself"} ${rest.length}`),
      failed: (why) => this.told.push(why),
      over: () => this.told.push("over"),
    });
  }

  say(text: string): this {
    this.#listeners["data"]?.(latin1Encode(text));
    return this;
  }

  event(name: "end" | "close" | "error"): this {
    this.#listeners[name]?.();
    return this;
  }
}

const HEADER = "PROXY TCP4 1.2.3.4 4.3.2.1 1 2\r\n";

test("a header may come in pieces, and what is behind it is handed on", () => {
  const desk = new Desk();
  for (const char of HEADER) desk.say(char);
  assert.deepEqual(desk.told, ["over", "1.2.3.4 0"]);
  assert.deepEqual(new Desk().say(`${HEADER}EHLO`).told, ["over", "1.2.3.4 4"]);
});

test("the connection ends once, whatever happens to it later", () => {
  const desk = new Desk().say(HEADER).say("EHLO x\r\n").event("end").event("close");
  desk.timeout();
  desk.header.close();
  assert.deepEqual(desk.told, ["over", "1.2.3.4 0"]);
});

test("faults are told with what came", () => {
  const late = new Desk();
  late.timeout();
  const partly = new Desk().say("PROXY TCP4 1.2");
  partly.timeout();
  const rows: readonly (readonly [Desk, string])[] = [
    [new Desk().say("EHLO\tx\r\n"), "short protocol header: EHLO\\tx\\r\\n"],
    [late, "timeout error"],
    [partly, "missing protocol header terminator: PROXY TCP4 1.2"],
    [new Desk().event("end"), "EOF"],
  ];
  for (const [desk, why] of rows) assert.deepEqual(desk.told, ["over", why]);
});

test("a connection that goes away, or is closed, tells nothing", () => {
  assert.deepEqual(new Desk().say("PROXY").event("close").told, ["over"]);
  const closed = new Desk();
  closed.header.close();
  assert.deepEqual(closed.told, ["over", "destroyed"]);
});

test("bytes are escaped as in C", () => {
  assert.equal(escaped(Uint8Array.of(0, 7, 13, 10, 65, 92, 127, 255)), "\\000\\a\\r\\nA\\\\\\177\\377");
});
