/**
 * postconf(1): shows main.cf parameters. `postconf [-dnhHxpv] [-c DIR] [-o name=value]… [name…]`; texts of notices with
 * `postconf {-b|-t} [-c DIR] [FILE]`.
 * Exit status 0, also with unknown names (a warning each); 1 for a wrong command line or files that cannot be read.
 * Editing and master.cf modes are not implemented and say so.
 */

import type { Overrides, Sources } from "../config/config.ts";
import { configDirectory, Names, readSources } from "../config/config.ts";
import { ExpandError } from "../config/expand.ts";
import { splitNameValue } from "../config/main-cf.ts";
import { knownNames, nameWarnings, referredNames, serviceParameters } from "../config/names.ts";
import { ConfigError } from "../errors.ts";
import { latin1Encode, withoutControls } from "../latin1.ts";
import type { TransportSuffix } from "../params.ts";
import { PARAMETER_NAMES, rowOf } from "../params.ts";
import type { Runtime } from "../runtime.ts";
import type { CommandLine } from "./getopt.ts";
import { getopt, hasOption, lastValue } from "./getopt.ts";
import { shownTemplates } from "./postconf-templates.ts";

const OPTIONS = "aAbc:C:deEfFhHlmMno:pPtT:vxX#";
const NOT_IMPLEMENTED = "aACeEfFlmMPTX#";
/** Beside -b and -t: other things to do, and what they take. */
const OTHER_MODES = "aAFlmMpPT";
const WITH_TEMPLATES = "btcv";
const USAGE = "usage: postconf [-c config_dir] [-d (parameter defaults)] [-h (no names)] [-H (no values)] " +
  "[-n (non-default parameters)] [-o name=value (override parameter value)] [-x (expand parameter values)] [name...]";

/** Ends the command: the text, if any, goes to the error output, the status is 1. */
class Fatal extends Error {
  override readonly name = "Fatal";
}

interface Output {
  line(text: string): void;
  text(text: string): void;
  bounce(text: string): void;
  warn(text: string): void;
}

function checkLine(line: CommandLine): void {
  for (const letters of ["dn", "hH"]) {
    if ([...letters].every((letter) => hasOption(line, letter))) {
      throw new Fatal(`specify one of -${letters[0]} -${letters[1]}`);
    }
  }
  const missing = line.options.find(({ letter }) => NOT_IMPLEMENTED.includes(letter));
  if (missing !== undefined) throw new Fatal(`option -${missing.letter} is not implemented`);
  if (line.operands.some((name) => name.includes("="))) throw new Fatal("editing main.cf is not implemented");
}

/** The template mode that is asked for, or null. */
function templateOption(line: CommandLine): "b" | "t" | null {
  const option = hasOption(line, "b") ? "b" : hasOption(line, "t") ? "t" : null;
  if (option === null) return null;
  if (hasOption(line, "b") && hasOption(line, "t")) throw new Fatal("specify one of -b and -t");
  const letters = [...new Set(line.options.map(({ letter }) => letter))].sort();
  const modes = letters.filter((letter) => OTHER_MODES.includes(letter));
  if (modes.length > 0) throw new Fatal(`specify one of ${[option, ...modes].map((letter) => `-${letter}`).join(" ")}`);
  const wrong = letters.filter((letter) => !WITH_TEMPLATES.includes(letter));
  if (wrong.length > 0) {
    throw new Fatal(`with option -${option}, do not specify ${wrong.map((letter) => `-${letter}`).join(" ")}`);
  }
  if (line.operands.length > 1) throw new Fatal("options -b and -t require at most one template file");
  return option;
}

/** Postfix has bounce(8) do it, and bounce(8) says what is wrong. */
function templates(runtime: Runtime, line: CommandLine, option: "b" | "t", say: (text: string) => void): string {
  const directory = configDirectory(runtime, lastValue(line, "c"));
  const request = { option, directory, overrides: overridesOf(line), file: line.operands[0] ?? null };
  try {
    return shownTemplates(runtime, request, (text) => say(`warning: ${text}`));
  } catch (caught) {
    if (!(caught instanceof ConfigError)) throw caught;
    for (const fault of caught.faults) say(fault);
    throw new Fatal("");
  }
}

function overridesOf(line: CommandLine): Overrides {
  const overrides: Record<string, string> = {};
  const directory = lastValue(line, "c");
  if (directory !== null) overrides.config_directory = directory;
  for (const { letter, value } of line.options) {
    if (letter !== "o") continue;
    const split = splitNameValue(value!);
    if ("fault" in split) throw new Fatal(`invalid parameter override: ${value}: ${split.fault}`);
    overrides[split.name] = split.value;
  }
  return overrides;
}

/** The default of a parameter named after a service. */
function serviceDefault(suffix: TransportSuffix): string {
  return rowOf(`transport_${suffix}`)!.default;
}

/** What the command shows: names, their texts, and which are set. */
class View {
  readonly #sources: Sources;
  readonly #names: Names;
  readonly #ofServices: ReadonlyMap<string, TransportSuffix>;
  readonly #known: (name: string) => boolean;
  readonly #defaults: boolean;

  constructor(sources: Sources, defaults: boolean) {
    this.#sources = sources;
    this.#names = new Names(sources, null, defaults);
    this.#ofServices = serviceParameters(sources.master.services);
    const known = knownNames(sources);
    const referred = referredNames(sources);
    this.#known = (name) => known(name) || referred.main.has(name) || referred.master.has(name);
    this.#defaults = defaults;
  }

  /** Null for an unknown name. */
  raw(name: string): string | null {
    if (!this.#known(name) || (rowOf(name)?.hidden === true && !this.#names.isSet(name))) return null;
    const suffix = this.#ofServices.get(name);
    return this.#names.raw(name) ?? (suffix === undefined ? null : serviceDefault(suffix));
  }

  /** Values of kind raw are expanded where they are used. */
  expanded(name: string, raw: string): string {
    return rowOf(name)?.kind === "raw" ? raw : this.#names.expand(raw);
  }

  /** Sorted by their bytes, as postconf lists them. */
  all(onlySet: boolean): string[] {
    const listed: string[] = PARAMETER_NAMES.filter((name) => {
      const row = rowOf(name)!;
      return row.template !== true && row.hidden !== true;
    });
    listed.push(...this.#ofServices.keys());
    if (!this.#defaults) {
      listed.push(...this.#sources.main.entries.keys(), ...Object.keys(this.#sources.overrides));
    }
    const names = [...new Set(listed)].filter((name) => this.raw(name) !== null);
    return names.filter((name) => !onlySet || this.#names.isSet(name)).sort((a, b) => a < b ? -1 : a > b ? 1 : 0);
  }
}

function notImplemented(sources: Sources): string[] {
  return [...sources.main.entries.keys()].filter((name) => rowOf(name)?.ready === false);
}

function show(line: CommandLine, view: View, name: string, output: Output): void {
  const raw = view.raw(name);
  if (raw === null) return output.warn(`${name}: unknown parameter`);
  if (hasOption(line, "H")) return output.line(name);
  const text = (hasOption(line, "x") ? view.expanded(name, raw) : raw).split(/[ \t\r\n\f\v]+/).filter((word) =>
    word !== ""
  )
    .join(" ");
  output.line(hasOption(line, "h") ? text : `${name} =${text === "" ? "" : " "}${text}`);
}

function run(runtime: Runtime, words: readonly string[], output: Output): void {
  const line = getopt(OPTIONS, words);
  if (line.fault !== null) {
    output.warn(line.fault);
    throw new Fatal(USAGE);
  }
  const option = templateOption(line);
  if (option !== null) return output.text(templates(runtime, line, option, output.bounce));
  checkLine(line);
  const defaults = hasOption(line, "d");
  const directory = configDirectory(runtime, lastValue(line, "c"));
  const sources = readSources(runtime, directory, overridesOf(line), defaults ? "none" : "main");
  const faults = [...sources.main.faults, ...sources.master.faults];
  if (faults.length > 0) throw new ConfigError(faults.map((fault) => `fatal: ${fault}`));
  const view = new View(sources, defaults);
  const warnings = defaults
    ? []
    : [...sources.main.warnings, ...sources.master.warnings, ...nameWarnings(sources, false)];
  for (const warning of new Set(warnings)) output.warn(warning);
  const names = line.operands.length > 0 ? line.operands : view.all(hasOption(line, "n"));
  for (const name of names) show(line, view, name, output);
  const unbuilt = defaults || line.operands.length > 0 ? [] : notImplemented(sources);
  if (unbuilt.length > 0) output.warn(`${sources.mainFile}: recognised, not implemented: ${unbuilt.join(", ")}`);
}

function message(text: string, program = "postconf"): Uint8Array {
  return latin1Encode(`${program}: ${withoutControls(text)}\n`);
}

export async function postconf(runtime: Runtime, words: readonly string[]): Promise<number> {
  const { processes } = runtime;
  if (processes === null) return 1;
  let lines = "";
  const output: Output = {
    line: (text) => lines += `${text}\n`,
    text: (text) => lines += text,
    bounce: (text) => processes.writeError(message(text, "postfix/bounce")),
    warn: (text) => processes.writeError(message(`warning: ${text}`)),
  };
  let status = 0;
  try {
    run(runtime, words, output);
  } catch (caught) {
    status = 1;
    let faults: readonly string[];
    if (caught instanceof ConfigError) faults = caught.faults;
    else if (caught instanceof ExpandError) {
      output.warn(caught.message);
      faults = ["fatal: dictionary mail_dict: macro processing error"];
    } else if (caught instanceof Fatal) faults = caught.message === "" ? [] : [`fatal: ${caught.message}`];
    else throw caught;
    for (const fault of faults) processes.writeError(message(fault));
  }
  if (lines !== "") processes.writeOutput(latin1Encode(lines));
  return status;
}
