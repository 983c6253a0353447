/**
 * The content of a message that header_checks and the like look at: told apart by the MIME scanner, looked up, acted
 * upon, and handed on in the order it came. Tables that take time, and much content at once, make the sender wait: no
 * step holds up the event loop for longer than a block.
 *   checking --REJECT, DISCARD, a table that cannot answer--> stopped (nothing is handed on any more)
 * Never fails; what stands against the message is in `actions` and `mimeErrors`.
 */

import { headerNameLength, headerText } from "../header.ts";
import { latin1Encode } from "../latin1.ts";
import type { Clock, Millis } from "../runtime.ts";
import { REPLY, type Reply } from "../reply.ts";
import type { Actions, Edit } from "./actions.ts";
import type { CheckName, Checks, Found } from "./checks.ts";
import type { HeaderSink, SeenHeaders } from "./headers.ts";
import { MimeScanner } from "./mime.ts";
import type { Fault, HeaderPlace, LogicalHeader, MimeError, MimeOptions, Part } from "./mime-part.ts";
import { MIME_ERRORS } from "./mime-part.ts";

/** What the parameters say; the same for all messages. */
export interface ContentRules {
  readonly mime: MimeOptions;
  /** Null where the parameter is empty. */
  readonly headers: Readonly<Record<HeaderPlace, Checks | null>>;
  readonly body: Checks | null;
}

export interface CheckedSink extends HeaderSink {
  /** A Message-Id, Resent-Message-Id or Received (without its value) of the message itself; `name` in lower case. */
  headerSeen(name: string, value: string): void;
}

/** Work for longer than this lets others have their turn. */
const TURN: Millis = 10;
/** As many parts are done at once: those of a message without parts of its own. */
const FEW = 3;
const RECEIVED = "received";
/** Headers whose text is told. */
const TOLD = new Set(["message-id", "resent-message-id"]);
const NOTHING: readonly Found[] = [];
const NONE: ReadonlyMap<number, Found> = new Map();
const CRLF: Uint8Array = Uint8Array.of(13, 10);

export class CheckedContent {
  readonly actions: Actions;
  readonly mimeErrors = new Set<MimeError>();
  readonly #rules: ContentRules;
  readonly #sink: CheckedSink;
  readonly #seen: SeenHeaders;
  readonly #clock: Clock;
  readonly #id: string;
  /** A refused message is kept all the same: it goes back to its sender. */
  readonly #kept: boolean;
  readonly #scanner: MimeScanner;
  readonly #parts: Part[] = [];
  #draining: Promise<void> | null = null;

  constructor(
    rules: ContentRules,
    sink: CheckedSink,
    about: { actions: Actions; seen: SeenHeaders; clock: Clock; id: string; kept: boolean },
  ) {
    this.#rules = rules;
    this.#sink = sink;
    this.actions = about.actions;
    this.#seen = about.seen;
    this.#clock = about.clock;
    this.#id = about.id;
    this.#kept = about.kept;
    this.#scanner = new MimeScanner(rules.mime, (part) => void this.#parts.push(part));
  }

  trace(bytes: Uint8Array): void {
    this.#scanner.trace(bytes);
  }

  /** A promise: wait for it before the next piece. */
  push(piece: Uint8Array): Promise<void> | null {
    if (this.#over()) return null;
    this.#scanner.push(piece);
    return this.#drain();
  }

  /** A promise: all is handed on when it resolves. */
  end(): Promise<void> | null {
    if (this.#draining !== null) return this.#draining.then(() => this.end() ?? undefined);
    if (this.#over()) return null;
    this.#scanner.end();
    return this.#drain();
  }

  /** Something else stands against the message. */
  refuse(reply: Reply): void {
    this.actions.refused ??= reply;
    this.actions.stopped = true;
  }

  #over(): boolean {
    const { stopped, discarded, refused } = this.actions;
    return stopped && (!this.#kept || discarded || (refused !== null && refused.code < 500));
  }

  #drain(): Promise<void> | null {
    if (this.#draining !== null) return this.#draining;
    const many = this.#parts.length > FEW;
    const started = many ? this.#clock.monotonic() : 0;
    for (let part = this.#parts.shift(); part !== undefined; part = this.#parts.shift()) {
      let wait = this.#one(part);
      if (wait === null && many && this.#parts.length > 0 && this.#clock.monotonic() - started > TURN) {
        wait = this.#turn();
      }
      if (wait === null) continue;
      this.#draining = wait.then(() => {
        this.#draining = null;
        return this.#drain() ?? undefined;
      });
      return this.#draining;
    }
    return null;
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#clock.soon(resolve));
  }

  #one(part: Part): Promise<void> | null {
    if (this.#over()) return null;
    switch (part.kind) {
      case "headers":
        return this.#headers(part.block, part.headers);
      case "headers end":
        this.#sink.headersDone();
        return null;
      case "fault":
        this.#fault(part.fault);
        return null;
      case "body":
        return this.#body(part.bytes, part.inLimit);
      case "entity":
      case "boundary":
        return null;
    }
  }

  #fault({ error, text }: Fault): void {
    this.mimeErrors.add(error);
    this.actions.malformed(MIME_ERRORS[error], text);
  }

  #headers(block: Uint8Array, headers: readonly LogicalHeader[]): Promise<void> | null {
    const found = this.actions.checking ? this.#lookUp(block, headers) : NOTHING;
    const decided = (all: readonly Found[]): void =>
      this.#actOnHeaders(
        block,
        headers,
        all.length === 0 ? NONE : new Map(all.map((one) => [one.place.start, one])),
      );
    if (found instanceof Promise) return found.then(decided);
    decided(found);
    return null;
  }

  /** Kinds of headers that have the same tables are looked up together. */
  #lookUp(block: Uint8Array, headers: readonly LogicalHeader[]): readonly Found[] | Promise<readonly Found[]> {
    const { primary, mime, nested } = this.#rules.headers;
    if (primary !== null && primary.key === mime?.key && primary.key === nested?.key) {
      return primary.headers(block, headers);
    }
    const groups = new Map<string, { readonly checks: Checks; readonly some: LogicalHeader[] }>();
    for (const header of headers) {
      const checks = this.#rules.headers[header.place];
      if (checks === null) continue;
      const group = groups.get(checks.key);
      if (group === undefined) groups.set(checks.key, { checks, some: [header] });
      else group.some.push(header);
    }
    const answers = [...groups.values()].map(({ checks, some }) => checks.headers(block, some));
    if (!answers.some((answer) => answer instanceof Promise)) return (answers as (readonly Found[])[]).flat();
    return Promise.all(answers.map((answer) => Promise.resolve(answer))).then((all) => all.flat());
  }

  #actOnHeaders(block: Uint8Array, headers: readonly LogicalHeader[], found: ReadonlyMap<number, Found>): void {
    let from = headers[0]?.start ?? 0;
    const upTo = (end: number): void => {
      if (end > from) this.#sink.keep(from === 0 && end === block.length ? block : block.subarray(from, end));
      from = end;
    };
    for (const { start, end, name, place, faults } of headers) {
      for (const fault of faults) this.#fault(fault);
      const one = this.actions.checking ? found.get(start) : undefined;
      const edit = one === undefined ? null : this.#edit("header", one, this.#rules.headers[place]!.name);
      if (this.#over()) return;
      if (edit !== null && edit.kind !== "keep") {
        upTo(start);
        from = end;
        if (edit.kind === "drop") continue;
        const text = headerLines(edit.text);
        if (edit.kind === "replace") {
          if (!this.#note(this.#nameOf(text), text, 0, text.length, place) && !this.#over()) this.#sink.keep(text);
          if (this.#over()) return;
          continue;
        }
        this.#sink.keep(text);
        from = start;
      }
      const drop = this.#note(name, block, start, end, place);
      if (this.#over()) return;
      if (!drop) continue;
      upTo(start);
      from = end;
    }
    upTo(headers.at(-1)?.end ?? 0);
  }

  #nameOf(header: Uint8Array): string {
    return this.#seen.wishes.names.at(header, 0, headerNameLength(header, 0, header.length));
  }

  /** True when the header is one that never stays (message_drop_headers). */
  #note(name: string, bytes: Uint8Array, start: number, end: number, place: HeaderPlace): boolean {
    if (name !== "") this.#seen.noteEncoding(name, bytes, start, end);
    if (place !== "primary") return false;
    const drop = this.#seen.note(name, bytes, start, end);
    if (name === RECEIVED) this.#sink.headerSeen(name, "");
    else if (TOLD.has(name)) {
      this.#sink.headerSeen(name, headerText(bytes, start, end - 2).replace(/^[^:]*:\s*/, ""));
    }
    return drop;
  }

  #body(bytes: Uint8Array, inLimit: boolean): Promise<void> | null {
    const checks = this.#rules.body;
    if (checks === null || !inLimit || !this.actions.checking) {
      this.#sink.keep(bytes);
      return null;
    }
    const found = checks.records(bytes, this.#rules.mime.lineLimit);
    if (found instanceof Promise) return found.then((all) => this.#actOnBody(bytes, all));
    this.#actOnBody(bytes, found);
    return null;
  }

  #actOnBody(bytes: Uint8Array, all: readonly Found[]): void {
    let from = 0;
    for (const found of all) {
      const { start, end } = found.place;
      if (!this.actions.checking) break;
      const edit = this.#edit("body", found, "body_checks");
      if (this.#over()) return;
      if (edit.kind === "keep") continue;
      const next = bytes[end] === 13 && bytes[end + 1] === 10 ? end + 2 : bytes[end] === 10 ? end + 1 : end;
      if (start > from) this.#sink.keep(bytes.subarray(from, start));
      from = edit.kind === "prepend" ? start : next;
      if (edit.kind === "drop") continue;
      this.#sink.keep(latin1Encode(edit.text));
      if (edit.kind === "prepend" || next > end) this.#sink.keep(CRLF);
    }
    if (from < bytes.length) this.#sink.keep(from === 0 ? bytes : bytes.subarray(from));
  }

  #edit(context: "header" | "body", { answer, text }: Found, name: CheckName): Edit {
    if (answer.kind === "found") return this.actions.act(context, text, answer.value, name);
    this.actions.warn(`${answer.why} lookup error for "${text.slice(0, 100)}"`);
    this.actions.warn(`${this.#id}: ${name} map lookup problem -- message not accepted, try again later`);
    this.actions.refused = REPLY.queueWriteError;
    this.actions.stopped = true;
    this.actions.checking = false;
    return { kind: "keep" };
  }
}

/** A header that a table gave: where it has several lines, the later ones begin with white space. */
function headerLines(text: string): Uint8Array {
  return latin1Encode(`${text.replace(/\n(?![ \t])/g, "\n\t").replaceAll("\n", "\r\n")}\r\n`);
}
