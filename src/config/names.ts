/**
 * Warnings about names in main.cf and master.cf: set and never used, used and never set (postconf(1)).
 * A name is used when it is a parameter, a transport's parameter, a restriction class, or when a value refers to it.
 */

import { wordsOutsideBraces } from "../logical-lines.ts";
import { isParameter, rowOf, TRANSPORT_SUFFIXES } from "../params.ts";
import type { TransportSuffix } from "../params.ts";
import type { Sources } from "./config.ts";
import { namesIn } from "./expand.ts";
import type { Service } from "./master-cf.ts";

/** Commands that deliver mail for qmgr, and so have limits under their service's name. */
const DELIVERING = new Set(["smtp", "lmtp", "local", "virtual", "pipe", "error"]);
/** Commands with a time limit under their service's name. */
const TIMED = new Set(["pipe", "spawn"]);

/** Whether a service has a parameter `NAME_suffix`. */
export function hasSuffix(service: Service, suffix: TransportSuffix): boolean {
  const command = service.command.replace(/^.*\//, "");
  return suffix === "time_limit" ? TIMED.has(command) : DELIVERING.has(command);
}

/** Parameters named after services. */
export function serviceParameters(services: readonly Service[]): Map<string, TransportSuffix> {
  const names = new Map<string, TransportSuffix>();
  for (const service of services) {
    for (const suffix of TRANSPORT_SUFFIXES) {
      const name = `${service.name}_${suffix}`;
      if (!isParameter(name) && hasSuffix(service, suffix)) names.set(name, suffix);
    }
  }
  return names;
}

/** Names that are known without being referred to: parameters, service parameters, restriction classes. */
export function knownNames(sources: Sources): (name: string) => boolean {
  const ofServices = serviceParameters(sources.master.services);
  const classes = new Set<string>();
  const lists = [
    sources.main.entries.get("smtpd_restriction_classes")?.value,
    sources.overrides.smtpd_restriction_classes,
  ];
  for (const service of sources.master.services) lists.push(service.overrides.get("smtpd_restriction_classes"));
  for (const list of lists) for (const name of wordsOutsideBraces(list ?? "")) classes.add(name);
  return (name) => (isParameter(name) && rowOf(name)!.template !== true) || ofServices.has(name) || classes.has(name);
}

/** Names that values of both files and of the command line refer to. */
export function referredNames(sources: Sources): { readonly main: Set<string>; readonly master: Set<string> } {
  const main = new Set<string>();
  const master = new Set<string>();
  for (const entry of sources.main.entries.values()) for (const name of namesIn(entry.value)) main.add(name);
  for (const value of Object.values(sources.overrides)) for (const name of namesIn(value)) main.add(name);
  for (const service of sources.master.services) {
    for (const value of service.overrides.values()) for (const name of namesIn(value)) master.add(name);
  }
  return { main, master };
}

function undefinedNames(sources: Sources): string[] {
  const known = knownNames(sources);
  const set = new Set([...sources.main.entries.keys(), ...Object.keys(sources.overrides)]);
  for (const service of sources.master.services) for (const name of service.overrides.keys()) set.add(name);
  const referred = referredNames(sources);
  const missing = (names: Set<string>, file: string): string[] =>
    [...names].filter((name) => !set.has(name) && !known(name)).map((name) => `${file}: undefined parameter: ${name}`);
  return [...missing(referred.main, sources.mainFile), ...missing(referred.master, sources.masterFile)];
}

function unusedNames(sources: Sources, withLines: boolean): string[] {
  const known = knownNames(sources);
  const referred = referredNames(sources);
  const used = (name: string): boolean => known(name) || referred.main.has(name) || referred.master.has(name);
  const at = (file: string, line: number): string => withLines ? `${file}, line ${line}` : file;
  const found: string[] = [];
  for (const { name, value, line } of sources.main.entries.values()) {
    if (!used(name)) found.push(`${at(sources.mainFile, line)}: unused parameter: ${name}=${value}`);
  }
  for (const service of sources.master.services) {
    for (const [name, value] of service.overrides) {
      if (!used(name)) found.push(`${at(sources.masterFile, service.line)}: unused parameter: ${name}=${value}`);
    }
  }
  return found;
}

/** Without lines, the texts are postconf's own. */
export function nameWarnings(sources: Sources, withLines: boolean = true): string[] {
  return [...undefinedNames(sources), ...unusedNames(sources, withLines)];
}
