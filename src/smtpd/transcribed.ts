/**
 * A session whose dialogue is written down for the postmaster (notify_classes, smtpd_history_flush_threshold).
 *   talking --something goes wrong--> blamed --a message is queued--> talking
 *   either --EHLO, RSET or end of data past the threshold--> told, if blamed; then anew
 *   either --closed--> told, if blamed
 * Between engine and session: neither knows of it. Nothing here can fail.
 */

import type { Account } from "../bounce/transcript.ts";
import { Transcript } from "../bounce/transcript.ts";
import type { Answer, CommandLine, DataFacts, Dialogue } from "./dialogue.ts";
import { type Place, troubleOf } from "./trouble.ts";

export interface TranscribedOptions {
  /** smtpd_history_flush_threshold, in lines. */
  readonly flushAfter: number;
  readonly tell: (account: Account) => Promise<void>;
}

const QUEUED = /^250 2\.0\.0 Ok: (?:\d+ bytes )?queued as /;
const TOO_MANY_ERRORS = /^421 4\.7\.0 \S+ Error: too many errors\r\n$/;
const FLUSHES = /^(?:[EH]E?H?LO|RSET)(?:\s|$)/i;

export class Transcribed implements Dialogue {
  readonly #session: Dialogue & { readonly peer: string };
  readonly #options: TranscribedOptions;
  readonly #transcript = new Transcript();
  #lines = 0;
  #ended = false;
  /** "Session aborted, reason: ..." */
  #reason = "";

  constructor(session: Dialogue & { readonly peer: string }, options: TranscribedOptions) {
    this.#session = session;
    this.#options = options;
  }

  open(): Answer | Promise<Answer> {
    return this.#heard(this.#session.open(), "command", "");
  }

  command(line: CommandLine): Answer | Promise<Answer> {
    this.#add("In", line.text);
    return this.#heard(this.#session.command(line), "command", line.text);
  }

  data(piece: Uint8Array): Promise<void> | null {
    return this.#session.data(piece);
  }

  endOfData(facts: DataFacts): Answer | Promise<Answer> {
    return this.#heard(this.#session.endOfData(facts), "content", "");
  }

  timeout(): string {
    const text = this.#session.timeout();
    this.#add("Out", text);
    this.#end("timeout");
    return text;
  }

  closed(): void {
    this.#session.closed();
    this.#end("lost connection");
    this.#tell();
  }

  #heard(answer: Answer | Promise<Answer>, place: Place, command: string): Answer | Promise<Answer> {
    if (answer instanceof Promise) return answer.then((value) => this.#note(value, place, command));
    return this.#note(answer, place, command);
  }

  #note(answer: Answer, place: Place, command: string): Answer {
    const { text, next } = answer;
    if (text.startsWith("250 ") || text.startsWith("250-")) {
      if (place === "command" && this.#isFull && FLUSHES.test(command)) this.#flush();
      if (QUEUED.test(text)) this.#transcript.forgive();
    }
    // XCLIENT begins a session anew.
    if (text.startsWith("220") && command !== "") this.#flush();
    if (text.startsWith("421") && TOO_MANY_ERRORS.test(text)) {
      // Its command was never looked at.
      this.#transcript.drop();
      this.#reason = "too many errors";
    }
    const trouble = troubleOf(text, place);
    if (trouble !== null) this.#transcript.blame(trouble);
    if (text !== "") this.#add("Out", text);
    if (place === "content" && this.#isFull) this.#flush();
    if (next === "close") this.#end("");
    return answer;
  }

  #end(reason: string): void {
    if (!this.#ended && this.#reason === "") this.#reason = reason;
    this.#ended = true;
  }

  get #isFull(): boolean {
    return this.#lines > this.#options.flushAfter;
  }

  #flush(): void {
    this.#tell();
    this.#transcript.clear();
    this.#lines = 0;
  }

  #add(direction: "In" | "Out", text: string): void {
    this.#transcript.add(direction, text);
    this.#lines++;
    for (let at = text.indexOf("\n"); at >= 0 && at < text.length - 1; at = text.indexOf("\n", at + 1)) this.#lines++;
  }

  #tell(): void {
    const transcript = this.#transcript;
    if (transcript.troubles.size === 0) return;
    const aborted = this.#reason === "" ? [] : [`Session aborted, reason: ${this.#reason}`];
    const after = ["", ...aborted, "", "For other details, see the local mail logfile"];
    void this.#options.tell({ by: "SMTP server", peer: this.#session.peer, transcript, before: [], after });
  }
}
