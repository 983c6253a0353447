/**
 * The parameters about message content as the rules that every message is held against. Null when none of them asks
 * for anything: then nobody looks at the content. A table that cannot be opened throws ConfigError.
 */

import type { Config } from "../config/config.ts";
import type { HeaderNames } from "../header.ts";
import type { LookupTable } from "../maps/map.ts";
import type { ContentRules } from "./checked.ts";
import { type CheckName, Checks } from "./checks.ts";
import type { MimeError } from "./mime-part.ts";

/** Opens a table; `place` is the parameter's name. */
export type OpenTable = (name: string, place: string) => LookupTable;

/** `names`: those that headers are to be told by. */
export function contentRules(config: Config, names: HeaderNames, open: OpenTable): ContentRules | null {
  const opened = new Map<string, LookupTable>();
  const table = (name: string, place: string): LookupTable => {
    const known = opened.get(name) ?? open(name, place);
    opened.set(name, known);
    return known;
  };
  const checks = (parameter: CheckName): Checks | null => {
    const names = config[parameter];
    return names.length === 0 ? null : new Checks(parameter, names.map((name) => table(name, parameter)));
  };
  const headers = {
    primary: checks("header_checks"),
    mime: checks("mime_header_checks"),
    nested: checks("nested_header_checks"),
  };
  const body = checks("body_checks");
  const strict = strictErrors(config);
  const looked = Object.values(headers).some((one) => one !== null);
  if (!looked && body === null && strict.length === 0) return null;
  const flat = config.disable_mime_input_processing;
  const limit = config.body_checks_size_limit;
  return {
    headers,
    body,
    mime: {
      lineLimit: config.line_length_limit,
      headerLimit: config.header_size_limit,
      boundaryLimit: config.mime_boundary_length_limit,
      nestingLimit: config.mime_nesting_limit,
      flat,
      bodyLimit: body === null ? 0 : limit === 0 ? Number.POSITIVE_INFINITY : limit,
      names,
      report: new Set<MimeError>(flat ? [] : looked || strict.length > 0 ? [...strict, "nesting"] : []),
    },
  };
}

function strictErrors(config: Config): MimeError[] {
  const strict: MimeError[] = [];
  if (config.strict_8bitmime || config.strict_7bit_headers) strict.push("header8bit");
  if (config.strict_8bitmime || config.strict_8bitmime_body) strict.push("body8bit");
  if (config.strict_mime_encoding_domain) strict.push("domain");
  return strict;
}
