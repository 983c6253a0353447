/**
 * The command line of sendmail(1), with Postfix's option string, special cases and texts. Throws Fatal.
 */

import { addressList } from "../address-list.ts";
import type { Notify } from "../envelope.ts";
import type { Report } from "../maildrop.ts";
import { getopt } from "./getopt.ts";
import { Fatal, type Tool } from "./tool.ts";

export type Mode = "enqueue" | "mailq" | "flush" | "daemon" | "newaliases" | "stand-alone" | "ignore";

export interface Request {
  readonly mode: Mode;
  /** -C, or null. */
  readonly directory: string | null;
  /** -f; null for the submitter's own name. */
  readonly sender: string | null;
  readonly fullName: string | null;
  readonly recipients: readonly string[];
  /** What stands behind the options, as it is. */
  readonly operands: readonly string[];
  /** -t */
  readonly fromHeaders: boolean;
  readonly dotEnds: boolean;
  readonly encoding: "7bit" | "8bit" | "";
  readonly notify: Notify;
  readonly ret: "full" | "hdrs" | "";
  readonly envid: string;
  /** -bv, -v once (twice asks for debugging) */
  readonly report: Report | null;
  /** -qR, -qI; "" when not given. */
  readonly site: string;
  readonly id: string;
  /** -q and a time: for a daemon, and whoever asks for something else besides gets nothing. */
  readonly interval: boolean;
  /** -oA */
  readonly aliases: string | null;
}

const OPTIONS = "A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:r:q:tvx";
const NOTIFY_WORDS = ["never", "success", "failure", "delay"] as const;
/** Letters that Postfix takes and does nothing about. */
const ENVID_LIMIT = 100;

type Changing = { -readonly [K in keyof Request]: Request[K] };
type Letter = (request: Changing, value: string, options: SendmailOptions) => void;

const B_MODES: Readonly<Record<string, Mode>> = {
  d: "daemon",
  l: "daemon",
  h: "ignore",
  H: "ignore",
  i: "newaliases",
  m: "enqueue",
  p: "mailq",
  s: "stand-alone",
  v: "enqueue",
};

const LETTERS: Readonly<Record<string, Letter>> = {
  n: () => {
    throw new Fatal("-n option not supported");
  },
  B: (request, value) => {
    if (value !== "8BITMIME" && value !== "7BIT") throw new Fatal("-B option needs 8BITMIME or 7BIT");
    request.encoding = value === "8BITMIME" ? "8bit" : "7bit";
  },
  C: (request, value) => {
    request.directory = /(^|\/)main\.cf$/.test(value) ? value.replace(/\/?main\.cf$/, "") || "." : value;
  },
  F: (request, value) => request.fullName = value,
  I: (request) => request.mode = "newaliases",
  N: (request, value, options) => request.notify = options.notify(value),
  R: (request, value, options) => {
    const word = value.toLowerCase();
    if (word === "full" || word === "hdrs") request.ret = word;
    else options.warn("bad -R option value -- ignored");
  },
  V: (request, value, options) => {
    if (value.length > ENVID_LIMIT) options.warn("too long -V option value -- ignored");
    else if (!/^[\x20-\x7e]+$/.test(value)) options.warn("bad syntax in -V option value -- ignored");
    else request.envid = value;
  },
  X: (_request, value) => {
    if (value[0] !== "V") throw new Fatal(`unsupported: -X${value[0] ?? ""}`);
    if (!/^[-=+]{2}$/.test(value.slice(1))) throw new Fatal("-V requires two characters from -=+");
    throw new Fatal("-XV is not implemented");
  },
  b: (request, value, options) => {
    const letter = value[0] ?? "";
    if (!Object.hasOwn(B_MODES, letter)) throw new Fatal(`unsupported: -b${letter}`);
    const mode = B_MODES[letter] as Mode;
    if (mode === "daemon" && request.mode === "flush") options.warn("ignoring -q option in daemon mode");
    request.mode = mode;
    if (mode === "enqueue") request.report = letter === "v" ? "deliverability" : null;
  },
  f: (request, value, options) => request.sender = options.sender(value),
  r: (request, value, options) => request.sender = options.sender(value),
  i: (request) => request.dotEnds = false,
  o: (request, value) => {
    if (value[0] === "i") request.dotEnds = false;
    if (value[0] !== "A") return;
    if (value.length === 1) throw new Fatal("-oA requires pathname");
    request.aliases = value.slice(1);
  },
  q: (request, value) => {
    if (/^[0-9]/.test(value)) return void (request.interval = true);
    const rest = value.slice(1);
    if (value[0] === "R") {
      if (rest === "") throw new Fatal("specify: -qRsitename");
      request.site = rest;
    } else if (value[0] === "I") {
      if (rest === "") throw new Fatal("specify: -qIqueueid");
      request.id = rest;
    } else throw new Fatal(`-q${value[0] ?? ""} is not implemented`);
  },
  t: (request) => request.fromHeaders = true,
};

/** What asks for something else than a probe does; Postfix's order. */
const NO_PROBE: readonly (readonly [string, (request: Request, verbose: number) => boolean])[] = [
  ["-t", ({ fromHeaders }) => fromHeaders],
  ["-N", ({ notify }) => notify.length > 0],
  ["-R", ({ ret }) => ret !== ""],
  ["-v", (_, verbose) => verbose === 1],
];

export class SendmailOptions {
  readonly #tool: Tool;
  readonly #mode: Mode;

  constructor(tool: Tool, mode: Mode) {
    this.#tool = tool;
    this.#mode = mode;
  }

  warn(text: string): void {
    this.#tool.warn(text);
  }

  /** Latin-1 text. Throws Fatal. */
  read(words: readonly string[]): Request {
    const request: Changing = {
      mode: this.#mode,
      directory: null,
      sender: null,
      fullName: null,
      recipients: [],
      operands: [],
      fromHeaders: false,
      dotEnds: true,
      encoding: "",
      notify: [],
      ret: "",
      envid: "",
      report: null,
      site: "",
      id: "",
      interval: false,
      aliases: null,
    };
    request.operands = words.slice(this.#options(words, request));
    if (request.mode !== "enqueue") {
      for (const [given, option] of [[request.fromHeaders, "-t"], [request.site, "-qR"], [request.id, "-qI"]]) {
        if (given !== false && given !== "") throw new Fatal(`${String(option)} can be used only in delivery mode`);
      }
    }
    if (request.mode === "enqueue") this.#delivery(words, request);
    return request;
  }

  #delivery(words: readonly string[], request: Changing): void {
    request.recipients = request.operands.flatMap(addressList);
    const options = words.slice(0, words.length - request.operands.length);
    const verbose = options.reduce((sum, word) => sum + (/^-v+$/.exec(word)?.[0].length ?? 1) - 1, 0);
    if (request.report === null) {
      if (verbose === 1) request.report = "attempt";
      return;
    }
    const other = NO_PROBE.find(([, isGiven]) => isGiven(request, verbose));
    if (other !== undefined) throw new Fatal(`${other[0]} option cannot be used with -bv`);
  }

  /** The first address; the rest of a malformed one is passed over. */
  sender(text: string): string {
    const found = addressList(text);
    if (found.length !== 1) this.warn(`-f option specified malformed sender: ${text}`);
    return found[0] ?? "";
  }

  notify(text: string): Notify {
    const words = text.toLowerCase().split(/[ \t,]+/).filter((word) => word !== "");
    const known = NOTIFY_WORDS.filter((word) => words.includes(word));
    const unknown = text.split(/[ \t,]+/).find((word) =>
      !(NOTIFY_WORDS as readonly string[]).includes(word.toLowerCase())
    );
    if (unknown !== undefined) this.warn(`unknown DSN NOTIFY command value "${unknown}" in "${text}"`);
    if (unknown === undefined && known.length > 0 && (known.length === 1 || !known.includes("never"))) return known;
    this.warn("bad -N option value -- ignored");
    return [];
  }

  /** Reads word by word, as -q alone and the old -V of VERP are no getopt options. Gives the index of the operands. */
  #options(words: readonly string[], request: Changing): number {
    for (let at = 0; at < words.length;) {
      const word = words[at] as string;
      if (word === "-q") {
        if (request.mode === "daemon") this.warn("ignoring -q option in daemon mode");
        else request.mode = "flush";
        at++;
        continue;
      }
      if (word === "--") return at + 1;
      if (word.length < 2 || !word.startsWith("-")) return at;
      const old = /^-V(..)?$/.exec(word);
      if (old?.[1] !== undefined || old !== null && words[at + 1]?.length === 2) {
        const option = old[1] === undefined ? "-V" : word;
        this.warn(`option ${option} is deprecated with Postfix 2.3; specify -X${option.slice(1)} instead`);
        throw new Fatal("-XV is not implemented");
      }
      let line = getopt(OPTIONS, [word]);
      const needsValue = line.fault !== null && !line.fault.startsWith("invalid");
      if (needsValue && at + 1 < words.length) line = getopt(OPTIONS, words.slice(at, at + 2));
      if (line.fault !== null) {
        this.#tool.tell(line.fault);
        throw new Fatal(`usage: ${this.#tool.name} [options]`);
      }
      for (const { letter, value } of line.options) LETTERS[letter]?.(request, value ?? "", this);
      at += needsValue ? 2 : 1;
    }
    return words.length;
  }
}
