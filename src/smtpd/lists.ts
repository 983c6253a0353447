/**
 * Lists of restrictions: words of main.cf or of an access table made into checks, and their evaluation. The first
 * answer that is not dunno ends a list. Restriction classes are lists by name; they may name each other, to a limit.
 * What cannot be read in main.cf is a ConfigError at start; in a table it is a server configuration error.
 */

import type { Config } from "../config/config.ts";
import { ConfigError } from "../errors.ts";
import { wordsOutsideBraces } from "../logical-lines.ts";
import type { Verdict } from "./facts.ts";
import type { Judging } from "./judging.ts";
import { type MadeCheck, observed, type RestrictionDef, type RestrictionServices } from "./restriction.ts";
import { RESTRICTIONS } from "./restrictions.ts";

type Item = Named | "warn_if_reject";
export type List = readonly Item[];

interface Named extends MadeCheck {
  /** As main.cf has it: the restriction and its argument. */
  readonly name: string;
}

const NESTING_LIMIT = 200;
const REMEMBERED_LIMIT = 1000;

/** After these a list goes on for nothing. */
const FINAL = new Set(["permit", "reject", "defer", "check_relay_domains"]);

const CONTROL = [
  "reject_unauth_destination",
  "defer_unauth_destination",
  "reject",
  "defer",
  "defer_if_permit",
  "check_relay_domains",
];

function isFinal(list: List, at: number): boolean {
  return list[at] === "warn_if_reject";
}

export class Lists {
  readonly #services: RestrictionServices;
  readonly #classes = new Map<string, readonly string[]>();
  readonly #classLists = new Map<string, List>();
  readonly #ofTables = new Map<string, List>();
  readonly faults: string[] = [];

  /** `services.runWords` comes from here: tables may name restrictions. */
  constructor(services: Omit<RestrictionServices, "runWords">) {
    this.#services = { ...services, runWords: (words, judging) => this.run(this.#ofTable(words), judging) };
    for (const name of services.config.smtpd_restriction_classes) {
      const words = wordsOutsideBraces(definitionOf(services.config, name));
      if (words.length === 0) this.faults.push(`restriction class \`${name}' needs a definition`);
      this.#classes.set(name, words);
    }
    for (const [name, words] of this.#classes) this.#classLists.set(name, this.make(name, words));
  }

  get services(): RestrictionServices {
    return this.#services;
  }

  /** Faults are gathered in `faults`. */
  make(place: string, words: readonly string[]): List {
    const { list, faults } = this.#compile(words);
    this.faults.push(...faults.map((fault) => `${place}: ${fault}`));
    return list;
  }

  /** Throws ConfigError with all faults so far. */
  check(): void {
    if (this.faults.length > 0) throw new ConfigError(this.faults);
  }

  /** Whether a list is sure to keep strangers from relaying. */
  hasRelayControl(words: readonly string[], depth = 0): boolean {
    for (let at = 0; at < words.length; at++) {
      const word = words[at] as string;
      const name = word.toLowerCase();
      if (name === "warn_if_reject" && at + 1 < words.length) {
        at++;
        continue;
      }
      if (name === "permit") return false;
      if (CONTROL.includes(name)) return true;
      const inner = this.#classes.get(word);
      if (inner !== undefined && depth < NESTING_LIMIT && this.hasRelayControl(inner, depth + 1)) return true;
    }
    return false;
  }

  /** Synchronous as long as the checks are. */
  run(list: List, judging: Judging): Verdict | Promise<Verdict> {
    if (judging.recursion > NESTING_LIMIT) {
      judging.warn("restriction classes cause unreasonable recursion");
      return judging.serverError();
    }
    const level = ++judging.recursion;
    const verdict = this.#go(list, judging, level, 0);
    return verdict instanceof Promise
      ? verdict.then((value) => ended(value, judging, level))
      : ended(verdict, judging, level);
  }

  #go(list: List, judging: Judging, level: number, first: number): Verdict | Promise<Verdict> {
    for (let at = first; at < list.length; at++) {
      if (judging.discarded) return "dunno";
      const item = list[at] as Item;
      if (item === "warn_if_reject") {
        if (judging.warning === 0) judging.warning = level;
        continue;
      }
      if (item.ahead !== undefined) askOthers(list, judging, at);
      const verdict = observed(this.#services.observer, "restriction", item.name, () => item.check(judging));
      if (verdict instanceof Promise) {
        return verdict.then((value) => {
          const end = settled(value, judging, level);
          return end ?? this.#go(list, judging, level, at + 1);
        });
      }
      const end = settled(verdict, judging, level);
      if (end !== null) return end;
    }
    return "dunno";
  }

  #compile(words: readonly string[]): { readonly list: List; readonly faults: readonly string[] } {
    const list: Item[] = [];
    const faults: string[] = [];
    for (let at = 0; at < words.length; at++) {
      const word = words[at] as string;
      const name = word.toLowerCase();
      if (name === "warn_if_reject") list.push("warn_if_reject");
      else if (word.includes(":")) list.push(this.#bare(word, faults));
      else if (RESTRICTIONS.has(name)) {
        const def = RESTRICTIONS.get(name) as RestrictionDef;
        const argument = def.argument === "none" ? "" : words[++at];
        const made = this.#made(def, name, argument);
        if ("fault" in made) faults.push(made.fault);
        else list.push({ ...made, name: argument === "" ? name : `${name} ${argument}` });
        this.#warnOfRest(list, name, words[at + 1]);
      } else if (this.#classes.has(word)) {
        list.push({ name: word, check: (judging) => this.run(this.#classLists.get(word) ?? [], judging) });
      } else faults.push(`unknown restriction "${word}"`);
    }
    return { list, faults };
  }

  #warnOfRest(list: List, name: string, next: string | undefined): void {
    if (next === undefined || !FINAL.has(name) || isFinal(list, list.length - 2)) return;
    this.#services.warn(`restriction \`${next}' after \`${name}' is ignored`);
  }

  #made(def: RestrictionDef, name: string, argument: string | undefined): MadeCheck | { readonly fault: string } {
    const needs = {
      none: "nothing",
      table: "a table",
      domain: "a domain name",
      service: "a service",
      number: "a number",
    };
    if (argument === undefined) return { fault: `${name} needs ${needs[def.argument]}` };
    if (def.argument === "table" && !argument.includes(":")) {
      return { fault: `restriction ${name}: bad argument "${argument}": need maptype:mapname` };
    }
    return def.make(this.#services, argument, name);
  }

  /** type:table without a restriction before it: asked as the list that it stands in says. */
  #bare(word: string, faults: string[]): Named {
    const made = new Map<string, MadeCheck>();
    for (
      const name of [
        "check_client_access",
        "check_helo_access",
        "check_sender_access",
        "check_recipient_access",
        "check_etrn_access",
      ]
    ) {
      const one = this.#made(RESTRICTIONS.get(name) as RestrictionDef, name, word);
      if ("fault" in one) faults.push(one.fault);
      else made.set(name, one);
    }
    return {
      name: word,
      check: (judging) => {
        const one = judging.bare === null ? undefined : made.get(judging.bare);
        if (one !== undefined) return one.check(judging);
        judging.warn(`specify one of (check_client_access, …) before ${judging.subject} restriction "${word}"`);
        return judging.serverError();
      },
    };
  }

  /** Restrictions that a table names; what is wrong with them shows when they are met. */
  #ofTable(words: readonly string[]): List {
    const key = words.join(" ");
    const known = this.#ofTables.get(key);
    if (known !== undefined) return known;
    const { list, faults } = this.#compile(words);
    const [fault] = faults;
    const made: List = fault === undefined ? list : [{
      name: key,
      check: (judging) => {
        judging.warn(fault.replace(/^unknown restriction/, "unknown smtpd restriction:"));
        return judging.serverError();
      },
    }];
    if (this.#ofTables.size >= REMEMBERED_LIMIT) this.#ofTables.clear();
    this.#ofTables.set(key, made);
    return made;
  }
}

/** Starts the look-ups of the DNS lists that come later, once. */
function askOthers(list: List, judging: Judging, at: number): void {
  if (list.findIndex((item) => typeof item === "object" && item.ahead !== undefined) !== at) return;
  for (const item of list.slice(at + 1)) if (typeof item === "object") item.ahead?.(judging);
}

/** Null: the list goes on. */
function settled(verdict: Verdict, judging: Judging, level: number): Verdict | null {
  if (judging.warning >= level) judging.warning = 0;
  if (verdict !== "dunno") return verdict;
  return judging.deferIfPermit !== null && judging.deferIfReject !== null ? "dunno" : null;
}

function ended(verdict: Verdict, judging: Judging, level: number): Verdict {
  judging.recursion = level - 1;
  if (judging.warning >= judging.recursion) judging.warning = 0;
  return verdict;
}

function definitionOf(config: Config, name: string): string {
  try {
    return config.text(name);
  } catch (caught) {
    if (caught instanceof ConfigError) return "";
    throw caught;
  }
}
