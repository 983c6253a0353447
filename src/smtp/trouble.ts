/**
 * What a failure means for the recipients of one delivery: Postfix's smtp_trouble(3).
 *   recipient: open --failed, another server may do better--> kept --next server--> open
 *              open --failed for good, or no server left--> settled;  open --accepted--> settled
 * A soft failure is only logged while another server may be tried; the last server's failure defers. A hard one
 * bounces. Never throws; finish() settles whoever is still open.
 */

import type { DeliveryRequest } from "../agent.ts";
import { assert, systemWords } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Millis } from "../runtime.ts";
import type { DeliveryResult, Remote, Scope, Status } from "../status.ts";
import type { Response } from "./response.ts";
import { statusOfResponse } from "./response.ts";

export interface Trouble {
  readonly status: Status;
  readonly reason: string;
  readonly remote: Remote | null;
}

/** Who is being talked to; the words of log and results. */
export interface Peer {
  readonly host: string;
  /** "host[1.2.3.4]" */
  readonly name: string;
  /** "host[1.2.3.4]:25" */
  readonly relay: string;
  readonly connectionUse: number;
  readonly connectedAt: Millis;
}

export const NO_PEER: Peer = { host: "", name: "none", relay: "none", connectionUse: 0, connectedAt: 0 };

/** A failure that the client itself found. */
export function localTrouble(status: Status, reason: string): Trouble {
  return { status, reason, remote: null };
}

/** The server's words. `command`: "MAIL FROM", "RCPT TO", "DATA", "end of DATA". */
export function replyTrouble(peer: Peer, response: Response, command: string): Trouble {
  return {
    status: failureStatus(response),
    reason: `host ${peer.name} said: ${response.text} (in reply to ${command} command)`,
    remote: remoteOf(peer, response),
  };
}

/** The server's words in greeting and handshake. */
export function refusal(peer: Peer, response: Response, softened: boolean): Trouble {
  const status = failureStatus(response);
  return {
    status: softened ? `4${status.slice(1)}` : status,
    reason: `host ${peer.name} refused to talk to me: ${response.text}`,
    remote: remoteOf(peer, response),
  };
}

/** A reply of another class than 4 or 5 where those or success belong: a broken server, not a reason to wait. */
function failureStatus(response: Response): Status {
  const status = statusOfResponse(response);
  return status[0] === "4" || status[0] === "5" ? status : "5.5.0";
}

function remoteOf(peer: Peer, response: Response): Remote {
  return { host: peer.host, reply: response.text, diagnosticType: "smtp" };
}

const OPEN = 0;
const KEPT = 1;
const SETTLED = 2;

export class Delivery {
  readonly request: DeliveryRequest;
  readonly #log: Logger;
  readonly #results: (DeliveryResult | null)[];
  readonly #states: Uint8Array;
  readonly #kept: (Trouble | null)[];
  #unsettled: number;
  /** Of the whole destination: no server could be talked to. It outweighs what a server said before. */
  #siteTrouble: Trouble | null = null;
  #peer: Peer = NO_PEER;
  /** No server comes after the present one: soft failures defer. */
  finalServer = false;

  constructor(request: DeliveryRequest, log: Logger) {
    const count = request.recipients.length;
    this.request = request;
    this.#log = log;
    this.#results = new Array<DeliveryResult | null>(count).fill(null);
    this.#kept = new Array<Trouble | null>(count).fill(null);
    this.#states = new Uint8Array(count);
    this.#unsettled = count;
  }

  /** Recipients without a result. */
  get unsettled(): number {
    return this.#unsettled;
  }

  /** Takes up a server: all that are not settled are open again; their positions in the request. */
  begin(peer: Peer): number[] {
    this.#peer = peer;
    const open: number[] = [];
    for (let at = 0; at < this.#states.length; at++) {
      if (this.#states[at] === SETTLED) continue;
      this.#states[at] = OPEN;
      open.push(at);
    }
    return open;
  }

  /** `reportsSuccess`: the server announced DSN. */
  accepted(at: number, response: Response, reportsSuccess: boolean): void {
    const { host, relay, connectionUse, connectedAt } = this.#peer;
    this.#settle(at, {
      outcome: "sent",
      scope: "recipient",
      status: statusOfResponse(response),
      reason: response.text,
      remote: { host, reply: response.text, diagnosticType: "smtp" },
      relay,
      connectionUse,
      connectedAt,
      ...reportsSuccess ? { reportsSuccess } : {},
    });
  }

  recipientFailed(at: number, trouble: Trouble): void {
    if (this.#maySkip(trouble)) {
      this.#logSkipped(trouble);
      this.#keep(at, trouble);
    } else this.#fail(at, trouble, "recipient");
  }

  /** The message, for all recipients that are open. */
  messageFailed(trouble: Trouble): void {
    this.#failOpen(trouble, "message");
  }

  /** The server, for all recipients that are open. Only what may pass speaks about the destination. */
  serverFailed(trouble: Trouble): void {
    this.#failOpen(trouble, isSoft(trouble) ? "destination" : "message");
  }

  /** No address, or no connection: the next host is tried. */
  siteFailed(trouble: Trouble): void {
    this.#siteTrouble = trouble;
  }

  /** What was last known of the destination as a whole. */
  get siteTrouble(): Trouble | null {
    return this.#siteTrouble;
  }

  /** Settles who is left, with no server left to try. */
  finish(): readonly DeliveryResult[] {
    if (this.#unsettled > 0) {
      this.#peer = NO_PEER;
      for (let at = 0; at < this.#states.length; at++) {
        if (this.#states[at] === SETTLED) continue;
        const trouble = this.#siteTrouble ?? this.#kept[at] ?? localTrouble("4.3.0", "no mail server could be tried");
        this.#fail(at, trouble, isSoft(trouble) ? "destination" : "message");
      }
    }
    return this.#results as DeliveryResult[];
  }

  #failOpen(trouble: Trouble, scope: Scope): void {
    const skip = this.#maySkip(trouble);
    if (skip) this.#logSkipped(trouble);
    for (let at = 0; at < this.#states.length; at++) {
      if (this.#states[at] !== OPEN) continue;
      if (skip) this.#keep(at, trouble);
      else this.#fail(at, trouble, scope);
    }
  }

  #maySkip(trouble: Trouble): boolean {
    return !this.finalServer && isSoft(trouble);
  }

  #logSkipped(trouble: Trouble): void {
    this.#log.info(`${this.request.queueId}: ${trouble.reason}`);
  }

  #keep(at: number, trouble: Trouble): void {
    this.#states[at] = KEPT;
    this.#kept[at] = trouble;
    this.#siteTrouble = null;
  }

  #fail(at: number, trouble: Trouble, scope: Scope): void {
    const { relay, connectionUse, connectedAt } = this.#peer;
    this.#settle(at, {
      outcome: isSoft(trouble) ? "deferred" : "bounced",
      scope,
      status: trouble.status,
      reason: trouble.reason,
      remote: trouble.remote,
      relay,
      connectionUse,
      connectedAt,
    });
  }

  #settle(at: number, result: DeliveryResult): void {
    assert(this.#states[at] !== SETTLED, "a recipient is settled once");
    this.#states[at] = SETTLED;
    this.#results[at] = result;
    this.#unsettled--;
  }
}

export function isSoft(trouble: Trouble): boolean {
  return trouble.status[0] === "4";
}

/** `relay` is "host[1.2.3.4]:25", or "host[/path]" for a unix socket. */
export function connectTrouble(relay: string, code: string): Trouble {
  return localTrouble("4.4.1", `connect to ${relay}: ${systemWords(code)}`);
}
