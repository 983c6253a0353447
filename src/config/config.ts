/**
 * main.cf and master.cf as typed, frozen Config values, one for each service (main.cf and the service's -o settings).
 * Source: postconf(5), master(5). loadConfig throws one ConfigError that lists every fault with file and line; what
 * Postfix only warns about comes back as warnings. Values of names that are not implemented never stop the start.
 */

import { ConfigError, messageOf, systemCode } from "../errors.ts";
import { latin1Decode } from "../latin1.ts";
import type { ParameterName, SuffixValue, TransportSuffix, Value } from "../params.ts";
import { isParameter, PARAMETER_NAMES, rowOf, TRANSPORT_SUFFIXES } from "../params.ts";
import { parseValue } from "../params/kinds.ts";
import type { Row } from "../params/kinds.ts";
import type { Runtime } from "../runtime.ts";
import { computedDefault } from "./computed.ts";
import { expand, ExpandError } from "./expand.ts";
import type { Entry, MainCf } from "./main-cf.ts";
import { parseMainCf } from "./main-cf.ts";
import { parseMasterCf } from "./master-cf.ts";
import type { MasterCf, Service } from "./master-cf.ts";
import { nameWarnings } from "./names.ts";

export type { Service } from "./master-cf.ts";

export interface Origin {
  readonly file: string;
  readonly line: number;
}

export interface ConfigView {
  /** Text before $name expansion: what is set, else the default; null for a name that nothing defines. */
  raw(name: string): string | null;
  /** Text after $name expansion; empty for a name that nothing defines. Throws ConfigError when it has a fault. */
  text(name: string): string;
  /** Where main.cf or master.cf sets a name; null for defaults and for settings from the command line. */
  origin(name: string): Origin | null;
  /** `smtp_destination_concurrency_limit` where it is set or declared, else its default_… parameter. */
  forTransport<S extends TransportSuffix>(transport: string, suffix: S): SuffixValue<S>;
}

export type Config = Readonly<{ [K in ParameterName]: Value<K> }> & ConfigView;

export interface Loaded {
  readonly main: Config;
  readonly services: readonly Service[];
  /** main.cf with the service's -o settings; the same object for each call. */
  configFor(service: Service): Config;
  /** The same under load (stress = yes), unless main.cf or the service itself says what stress is. */
  stressedFor(service: Service): Config;
  readonly warnings: readonly string[];
  /** Names that main.cf or master.cf sets and that Postrider does not implement. */
  readonly notImplemented: readonly string[];
}

export type Overrides = Readonly<Record<string, string>>;

/** What is set, in the order in which it counts. */
interface Layer {
  readonly file: string | null;
  readonly value: (name: string) => string | undefined;
  readonly line: (name: string) => number;
}

/** The files as read, before any value is looked at. */
export interface Sources {
  readonly runtime: Runtime;
  readonly directory: string;
  readonly overrides: Overrides;
  readonly mainFile: string;
  readonly main: MainCf;
  readonly masterFile: string;
  readonly master: MasterCf;
}

function readText(runtime: Runtime, path: string): string {
  if (runtime.files === null) throw new ConfigError([`fatal: open ${path}: this runtime has no files`]);
  try {
    return latin1Decode(runtime.files.readSync(path));
  } catch (caught) {
    const why = systemCode(caught) === "ENOENT" ? "No such file or directory" : messageOf(caught);
    throw new ConfigError([`fatal: open ${path}: ${why}`]);
  }
}

/** -c DIR, else MAIL_CONFIG, else /etc/postfix. */
export function configDirectory(runtime: Runtime, given: string | null = null): string {
  return given ?? runtime.processes?.environment.MAIL_CONFIG ?? "/etc/postfix";
}

/**
 * Reads both files. Throws ConfigError when a needed one cannot be read: "main" can do without master.cf (a warning),
 * "none" does not read main.cf at all.
 */
export function readSources(
  runtime: Runtime,
  directory: string,
  overrides: Overrides = {},
  need: "both" | "main" | "none" = "both",
): Sources {
  const mainFile = `${directory}/main.cf`;
  const masterFile = `${directory}/master.cf`;
  const main = parseMainCf(need === "none" ? "" : readText(runtime, mainFile), mainFile);
  let master: MasterCf = { services: [], warnings: [], faults: [] };
  try {
    master = parseMasterCf(readText(runtime, masterFile), masterFile);
  } catch (caught) {
    if (need === "both" || !(caught instanceof ConfigError)) throw caught;
    master = { ...master, warnings: caught.faults.map((fault) => fault.replace(/^fatal: /, "")) };
  }
  return { runtime, directory, overrides, mainFile, main, masterFile, master };
}

function layersOf(sources: Sources, service: Service | null): Layer[] {
  const layers: Layer[] = [];
  if (service !== null) {
    const { overrides, line } = service;
    layers.push({ file: sources.masterFile, value: (name) => overrides.get(name), line: () => line });
  }
  const given = new Map(Object.entries(sources.overrides));
  layers.push({ file: null, value: (name) => given.get(name), line: () => 0 });
  const entries: ReadonlyMap<string, Entry> = sources.main.entries;
  layers.push({
    file: sources.mainFile,
    value: (name) => entries.get(name)?.value,
    line: (name) => entries.get(name)!.line,
  });
  return layers;
}

/** Names and their texts for one service or, with null, for main.cf alone. */
export class Names {
  readonly #layers: readonly Layer[];
  readonly #source: { readonly runtime: Runtime; readonly directory: string };
  readonly #computed = new Map<string, string>();

  constructor(sources: Sources, service: Service | null, defaultsOnly = false) {
    this.#layers = defaultsOnly ? [] : layersOf(sources, service);
    this.#source = sources;
  }

  #layerOf(name: string): Layer | null {
    return this.#layers.find((layer) => layer.value(name) !== undefined) ?? null;
  }

  isSet(name: string): boolean {
    return this.#layerOf(name) !== null;
  }

  origin(name: string): Origin | null {
    const layer = this.#layerOf(name);
    return layer === null || layer.file === null ? null : { file: layer.file, line: layer.line(name) };
  }

  raw(name: string): string | null {
    const layer = this.#layerOf(name);
    if (layer !== null) return layer.value(name)!;
    const row = rowOf(name);
    if (row === null) return null;
    return row.computed === undefined ? row.default : this.#computedDefault(name);
  }

  /** Throws ExpandError. */
  expand(text: string): string {
    return expand(text, (name) => this.raw(name));
  }

  /** Throws ExpandError. */
  text(name: string): string {
    try {
      const raw = this.raw(name);
      return raw === null ? "" : this.expand(raw);
    } catch (caught) {
      if (caught instanceof ExpandError) caught.of ??= name;
      throw caught;
    }
  }

  #computedDefault(name: string): string {
    const known = this.#computed.get(name);
    if (known !== undefined) return known;
    const value = computedDefault(name, {
      ...this.#source,
      whenSet: (other) => this.isSet(other) ? this.text(other) : null,
      text: (other) => this.text(other),
    });
    this.#computed.set(name, value);
    return value;
  }
}

/** The name that decides about a transport's suffix. */
function transportName(names: Names, transport: string, suffix: TransportSuffix): string {
  const own = `${transport}_${suffix}`;
  return names.isSet(own) || (isParameter(own) && rowOf(own)?.template !== true) ? own : `transport_${suffix}`;
}

/** Typed values of one service, built once. */
class Builder {
  readonly names: Names;
  readonly faults: string[] = [];
  readonly warnings: string[] = [];
  readonly #runtime: Runtime;

  constructor(sources: Sources, service: Service | null) {
    this.names = new Names(sources, service);
    this.#runtime = sources.runtime;
  }

  /** The typed value under one name, read as `row` says; a fault gives the row's default. */
  value(name: string, row: Row): unknown {
    const trouble = (why: string, at: string = name): void => {
      const origin = this.names.origin(at);
      const place = origin === null ? "" : `${origin.file}, line ${origin.line}: `;
      const list = row.ready ? this.faults : this.warnings;
      list.push(`${row.ready ? "fatal: " : ""}${place}${at}: ${why}`);
    };
    let text: string;
    try {
      text = row.kind === "raw" ? this.names.raw(name) ?? "" : this.names.text(name);
      if (name === "myorigin" && text.startsWith("/")) text = this.#firstLine(text);
    } catch (caught) {
      if (!(caught instanceof ExpandError)) throw caught;
      trouble(caught.message, caught.of ?? name);
      return undefined;
    }
    const parsed = parseValue(row, text);
    if ("value" in parsed) return parsed.value;
    trouble(parsed.fault);
    return undefined;
  }

  /** Debian: a file name stands for its first line. */
  #firstLine(path: string): string {
    try {
      return readText(this.#runtime, path).split("\n")[0]!.trim();
    } catch (caught) {
      throw new ExpandError(messageOf(caught).replace(/^fatal: /, ""));
    }
  }

  build(): Config {
    const names = this.names;
    const config: Record<string, unknown> = {};
    for (const name of PARAMETER_NAMES) config[name] = this.value(name, rowOf(name)!);
    const forTransport = new Map<string, unknown>();
    const view: ConfigView = {
      raw: (name) => names.raw(name),
      text: (name) => {
        try {
          return names.text(name);
        } catch (caught) {
          throw caught instanceof ExpandError ? new ConfigError([`fatal: ${name}: ${caught.message}`]) : caught;
        }
      },
      origin: (name) => names.origin(name),
      forTransport: (transport, suffix) => {
        const key = `${transport}_${suffix}`;
        if (!forTransport.has(key)) forTransport.set(key, this.#transportValue(transport, suffix));
        return forTransport.get(key) as never;
      },
    };
    return Object.freeze(Object.assign(config, view)) as unknown as Config;
  }

  /** Throws ConfigError; loadConfig tries every transport of master.cf first. */
  #transportValue(transport: string, suffix: TransportSuffix): unknown {
    const name = transportName(this.names, transport, suffix);
    const template = rowOf(`transport_${suffix}`)!;
    const before = this.faults.length;
    const value = this.value(name, { ...(rowOf(name) ?? template), ready: true });
    if (value === undefined) throw new ConfigError(this.faults.splice(before));
    return value;
  }
}

function* transportSettings(sources: Sources): Generator<{ service: Service; suffix: TransportSuffix }> {
  for (const service of sources.master.services) {
    for (const suffix of TRANSPORT_SUFFIXES) {
      if (sources.main.entries.has(`${service.name}_${suffix}`)) yield { service, suffix };
    }
  }
}

function checkTransports(sources: Sources, config: Config, faults: string[]): void {
  for (const { service, suffix } of transportSettings(sources)) {
    try {
      config.forTransport(service.name, suffix);
    } catch (caught) {
      if (!(caught instanceof ConfigError)) throw caught;
      faults.push(...caught.faults);
    }
  }
}

function notImplemented(sources: Sources): string[] {
  const set = [
    ...sources.main.entries.keys(),
    ...sources.master.services.flatMap((service) => [...service.overrides.keys()]),
  ];
  return [...new Set(set)].filter((name) => rowOf(name)?.ready === false);
}

/** Throws ConfigError with every fault of both files. */
export function loadConfig(runtime: Runtime, directory: string, overrides: Overrides = {}): Loaded {
  const sources = readSources(runtime, directory, overrides);
  const faults = [...sources.main.faults, ...sources.master.faults].map((fault) => `fatal: ${fault}`);
  const warnings = [...sources.main.warnings, ...sources.master.warnings, ...nameWarnings(sources)];
  const builders = [new Builder(sources, null)];
  const main = builders[0]!.build();
  const own = new Map<Service, Config>();
  for (const service of sources.master.services) {
    if (service.overrides.size === 0) continue;
    const builder = new Builder(sources, service);
    own.set(service, builder.build());
    builders.push(builder);
  }
  for (const builder of builders) {
    faults.push(...builder.faults);
    warnings.push(...builder.warnings);
  }
  checkTransports(sources, main, faults);
  if (faults.length > 0) throw new ConfigError([...new Set(faults)]);
  return {
    main,
    services: sources.master.services,
    configFor: (service) => own.get(service) ?? main,
    stressedFor: (service) =>
      new Builder({ ...sources, overrides: { ...sources.overrides, stress: "yes" } }, service).build(),
    warnings: [...new Set(warnings)],
    notImplemented: notImplemented(sources),
  };
}
