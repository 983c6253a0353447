/**
 * `postconf -b [FILE]` and `postconf -t [FILE]`: texts of notices, with $name expanded and as they are in a template
 * file (bounce(5)). Without FILE those of bounce_template_file, with an empty name the built-in ones.
 * Throws ConfigError for what ends Postfix's bounce(8).
 */

import { BUILT_IN, expandedText, readTemplates, templatesText } from "../bounce/template.ts";
import { loadConfig, type Overrides } from "../config/config.ts";
import type { Runtime } from "../runtime.ts";

export interface TemplateRequest {
  readonly option: "b" | "t";
  readonly directory: string;
  readonly overrides: Overrides;
  /** Null: not given. */
  readonly file: string | null;
}

/** The text for the output; `warn` gets what bounce(8) would say. */
export function shownTemplates(runtime: Runtime, request: TemplateRequest, warn: (text: string) => void): string {
  const { main } = loadConfig(runtime, request.directory, request.overrides);
  const file = request.file ?? main.bounce_template_file;
  const templates = file === "" || runtime.files === null ? BUILT_IN : readTemplates(file, runtime.files, warn);
  return request.option === "t" ? templatesText(templates) : expandedText(templates, main, warn);
}
