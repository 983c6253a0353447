/**
 * What the postmaster is told about an SMTP session in which something went wrong (notify_classes): all that was said,
 * as Postfix's smtpd and smtp tell it.
 *   add()*, blame()* --send()--> a notice from double_bounce_sender, when one of the blamed classes is wanted
 * send() never rejects: a notice that cannot be queued is a warning, since nothing depends on it. A session is kept up
 * to BYTES_LIMIT, the rest of it is left out.
 */

import { latin1Encode } from "../latin1.ts";
import type { Logger } from "../log.ts";
import { messageOf } from "../errors.ts";
import { mailDate } from "../header.ts";
import { rewriteAddress } from "../trivial-rewrite/rewrite.ts";
import { shown, wrapped } from "./notice.ts";
import { post, type PostServices } from "./post.ts";
import { Postmaster, type Trouble } from "./postmaster.ts";

const BYTES_LIMIT = 256 * 1024;
const LINE_LENGTH = 78;

export class Transcript {
  readonly #said: { readonly direction: "In:  " | "Out: "; readonly text: string }[] = [];
  readonly #troubles = new Set<Trouble>();
  #bytes = 0;

  /** `text`: one line or several, with or without their line ends. */
  add(direction: "In" | "Out", text: string): void {
    this.#bytes += text.length;
    if (this.#bytes > BYTES_LIMIT) return;
    this.#said.push({ direction: direction === "In" ? "In:  " : "Out: ", text });
  }

  /** Takes back what was added last. */
  drop(): void {
    this.#said.pop();
  }

  blame(trouble: Trouble): void {
    this.#troubles.add(trouble);
  }

  /** What went wrong before is forgiven; what was said is kept. */
  forgive(): void {
    this.#troubles.clear();
  }

  clear(): void {
    this.#said.length = 0;
    this.#bytes = 0;
    this.forgive();
  }

  get troubles(): ReadonlySet<Trouble> {
    return this.#troubles;
  }

  /** "In:  EHLO x", each line of its own. */
  lines(): string[] {
    return this.#said.flatMap(({ direction, text }) =>
      text.replace(/\r?\n$/, "").split(/\r?\n/).map((line) => direction + line)
    );
  }
}

/** A session as the notice tells it. */
export interface Account {
  /** Whose session: "SMTP server", "SMTP client". */
  readonly by: string;
  /** host[1.2.3.4] */
  readonly peer: string;
  readonly transcript: Transcript;
  /** Lines before the transcript. */
  readonly before: readonly string[];
  /** Lines after it. */
  readonly after: readonly string[];
}

export class TroubleNotices {
  readonly #services: PostServices;
  readonly #logger: Logger;
  readonly #postmaster: Postmaster;

  constructor(services: PostServices, logger: Logger) {
    this.#services = services;
    this.#logger = logger;
    this.#postmaster = new Postmaster(services.config);
  }

  /** Whether the postmaster wants to hear of one of these. */
  wants(troubles: Iterable<Trouble>): boolean {
    return [...troubles].some((trouble) => this.#postmaster.wants(trouble));
  }

  /** The transcript is read before this returns. */
  async send(account: Account): Promise<void> {
    const { troubles } = account.transcript;
    if (!this.wants(troubles)) return;
    const content = [latin1Encode(this.#text(account))];
    const { sender } = this.#postmaster;
    // Postfix names the one in To: and writes to the other.
    const to = troubles.has("bounce") ? this.#postmaster.bounceRecipient : this.#postmaster.errorRecipient;
    const posted = { sender, to, encoding: "", notice: "postmaster", filterClass: "notify", content } as const;
    try {
      const refused = await post(this.#services, posted, () => {});
      if (refused !== null) this.#logger.warn(`postmaster notify: notice refused: ${refused}`);
    } catch (caught) {
      this.#logger.warn(`postmaster notify: ${messageOf(caught)}`);
    }
  }

  #text({ by, peer, transcript, before, after }: Account): string {
    const { config, clock } = this.#services;
    const at = clock.now();
    const said = transcript.lines().flatMap((line) =>
      wrapped(shown(line, config.smtputf8_enable), LINE_LENGTH).map((part) => ` ${part}`)
    );
    return [
      `Date: ${mailDate(at, clock.zoneMinutes(at), clock.zoneName(at))}`,
      `From: Mail Delivery System <${rewriteAddress("MAILER-DAEMON", config)}>`,
      `To: Postmaster <${this.#postmaster.errorRecipient.address}>`,
      `Subject: ${config.mail_name} ${by}: errors from ${peer}`,
      "",
      ...before,
      "Transcript of session follows.",
      "",
      ...said,
      ...after,
      "",
    ].join("\r\n");
  }
}
