/**
 * Texts of notices (bounce(5)): four built-in templates, and those of a bounce_template_file in their place.
 *   file --load--> texts by name --parse--> templates --expand--> lines of a notice
 * A template with a fault is a warning, and the built-in one holds. What ends Postfix's bounce(8) (syntax of the file
 * itself, a $name that nothing defines) throws ConfigError; openTemplates() makes a warning of that too, since mail
 * must not wait for a text.
 */

import type { Config } from "../config/config.ts";
import { expand, ExpandError } from "../config/expand.ts";
import { splitNameValue } from "../config/main-cf.ts";
import { ConfigError, messageOf, systemCode, systemWords } from "../errors.ts";
import { latin1Decode } from "../latin1.ts";
import type { Files } from "../runtime.ts";

export const TEMPLATE_CLASSES = ["failure", "delay", "success", "verify"] as const;
export type TemplateClass = (typeof TEMPLATE_CLASSES)[number];

export interface Template {
  readonly class: TemplateClass;
  /** The file, or "[built-in]". */
  readonly origin: string;
  readonly charset: string;
  readonly from: string;
  readonly subject: string;
  /** Null: the postmaster gets no copies of these. */
  readonly postmasterSubject: string | null;
  /** Before $name expansion. */
  readonly lines: readonly string[];
}

export type Templates = Readonly<Record<TemplateClass, Template>>;

export type TemplateParameters = Pick<Config, "delay_warning_time" | "maximal_queue_lifetime" | "raw" | "text">;

type Warn = (text: string) => void;

export const DAEMON = "MAILER-DAEMON";

const HEAD = ["This is the mail system at host $myhostname.", ""];
const TAIL = ["", "                   The mail system"];
const HELP = [
  "For further assistance, please send mail to postmaster.",
  "",
  "If you do so, please include this problem report. You can",
  "delete your own text from the attached returned message.",
];
const FENCE = "#".repeat(68);

function builtIn(of: TemplateClass, subject: string, postmasterSubject: string | null, lines: string[]): Template {
  return {
    class: of,
    origin: "[built-in]",
    charset: "us-ascii",
    from: `Mail Delivery System <${DAEMON}>`,
    subject,
    postmasterSubject,
    lines: [...HEAD, ...lines, ...TAIL],
  };
}

export const BUILT_IN: Templates = {
  failure: builtIn("failure", "Undelivered Mail Returned to Sender", "Postmaster Copy: Undelivered Mail", [
    "I'm sorry to have to inform you that your message could not",
    "be delivered to one or more recipients. It's attached below.",
    "",
    ...HELP,
  ]),
  delay: builtIn("delay", "Delayed Mail (still being retried)", "Postmaster Warning: Delayed Mail", [
    FENCE,
    "# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #",
    FENCE,
    "",
    "Your message could not be delivered for more than $delay_warning_time_hours hour(s).",
    "It will be retried until it is $maximal_queue_lifetime_days day(s) old.",
    "",
    ...HELP,
  ]),
  success: builtIn("success", "Successful Mail Delivery Report", null, [
    "Your message was successfully delivered to the destination(s)",
    "listed below. If the message was delivered to mailbox you will",
    "receive no further notifications. Otherwise you may still receive",
    "notifications of mail delivery errors from other systems.",
  ]),
  verify: builtIn("verify", "Mail Delivery Status Report", null, [
    "Enclosed is the mail delivery report that you requested.",
  ]),
};

// deno-lint-ignore no-control-regex
const NOT_ASCII = /[^\x00-\x7f]/;

const isClass = (name: string): name is TemplateClass => (TEMPLATE_CLASSES as readonly string[]).includes(name);

/** `origin`: the file's name. Throws ConfigError. */
export function loadTemplates(text: string, origin: string, warn: Warn): Templates {
  const found = new Map<TemplateClass, string>();
  const all = text.split("\n");
  if (all.at(-1) === "") all.pop();
  // Postfix counts from the line after the one that it has read.
  let at = 0;
  const fatal = (what: string): ConfigError => new ConfigError([`fatal: ${origin}, line ${at + 1}: ${what}`]);
  while (at < all.length) {
    const line = all[at++]!;
    if (/^\s*(?:#|$)/.test(line)) continue;
    const split = splitNameValue(line);
    if ("fault" in split) throw fatal(`${split.fault}: "${line}"`);
    let { value } = split;
    if (value.startsWith("<<")) {
      const marker = value.slice(2).trimStart();
      if (marker === "") throw fatal("missing end marker after <<");
      if (!/^[A-Za-z0-9]/.test(marker)) throw fatal("malformed end marker after <<");
      const end = all.indexOf(marker, at);
      value = all.slice(at, end < 0 ? all.length : end).join("\n");
      at = end < 0 ? all.length : end + 1;
      if (end < 0) warn(`${origin}, line ${at + 1}: missing "${marker}" end marker`);
    }
    const name = split.name.replace(/_template$/, "");
    if (name !== split.name && isClass(name)) found.set(name, value);
    else warn(`${origin}, line ${at + 1}: unknown template name: ${split.name} -- ignoring this template`);
  }
  const made = TEMPLATE_CLASSES.map((of) => {
    const own = found.get(of);
    return [of, own === undefined ? BUILT_IN[of] : parseTemplate(own, BUILT_IN[of], origin, warn)];
  });
  return Object.fromEntries(made) as unknown as Templates;
}

const HEADER = /^([\x21-\x39\x3b-\x7e]+)[ \t]*:[: \t\r\f\v]*/;
const FIELDS: Readonly<Record<string, "charset" | "from" | "subject" | "postmasterSubject">> = {
  "charset": "charset",
  "from": "from",
  "subject": "subject",
  "postmaster-subject": "postmasterSubject",
};

/** One template's text; `usual` where that has a fault, and for what it leaves out. */
function parseTemplate(text: string, usual: Template, origin: string, warn: Warn): Template {
  const all = text.split("\n");
  const fields: { charset?: string; from?: string; subject?: string; postmasterSubject?: string } = {};
  const ignored = (what: string): Template => {
    warn(`${origin}: ${what} in ${usual.class} template -- ignoring this template`);
    return usual;
  };
  let at = 0;
  for (let match = HEADER.exec(all[0]!); match !== null; match = HEADER.exec(all[++at] ?? "")) {
    const name = match[1]!;
    const value = all[at]!.slice(match[0].length);
    const field = FIELDS[name.toLowerCase()];
    if (value === "") return ignored(`empty "${name}" header value`);
    if (NOT_ASCII.test(value)) return ignored(`non-ASCII "${name}" header value`);
    if (field === undefined) return ignored(`unknown "${name}" header label`);
    if (field === "postmasterSubject" && usual.postmasterSubject === null) {
      return ignored(`inapplicable "${name}" header label`);
    }
    fields[field] = value;
  }
  while (at < all.length && all[at]!.trim() === "") at++;
  const lines = all.slice(at);
  if (lines.length === 0) return ignored("missing message text");
  const template = { ...usual, ...fields, origin, lines };
  if (is8bit(template) && template.charset.toLowerCase() === "us-ascii") {
    warn(`${origin}: 8-bit message text in ${usual.class} template`);
    warn("please specify a charset value other than us-ascii");
    warn("-- ignoring this template for now");
    return usual;
  }
  return template;
}

export function is8bit({ lines }: Template): boolean {
  return lines.some((line) => NOT_ASCII.test(line));
}

const SECONDS: Readonly<Record<string, number>> = {
  seconds: 1,
  minutes: 60,
  hours: 3_600,
  days: 86_400,
  weeks: 604_800,
};

/** `$delay_warning_time_hours` and the like; null for other names. */
function timeValue(name: string, template: Template, parameters: TemplateParameters, warn: Warn): string | null {
  for (const parameter of ["delay_warning_time", "maximal_queue_lifetime"] as const) {
    if (!name.startsWith(`${parameter}_`)) continue;
    const unit = name.slice(parameter.length + 1);
    const divisor = Object.hasOwn(SECONDS, unit) ? SECONDS[unit]! : 0;
    const { origin, class: of } = template;
    if (divisor === 0) {
      throw new ConfigError([`fatal: ${origin}: unrecognized suffix "${unit}" in parameter "${name}"`]);
    }
    const seconds = Math.floor(parameters[parameter] / 1_000);
    const result = Math.floor(seconds / divisor);
    const complain = (what: string, remedy: string): void => {
      warn(`${origin}: ${what} in ${of} template conversion of parameter "${name}"`);
      warn(`please ${remedy} time unit "${unit}" of "${name}" in ${of} template`);
      warn("for instructions see the bounce(5) manual");
    };
    if (result > 999 && divisor < 86_400) complain(`excessive result "${result}"`, "increase");
    else if (result === 0 && seconds > 0 && divisor > 1) complain("zero result", "reduce");
    return String(result);
  }
  return null;
}

const PLAIN_NAME = /\$(?:([A-Za-z0-9_]+)|\{\s*([A-Za-z0-9_]+)\s*\}|\(\s*([A-Za-z0-9_]+)\s*\))/g;

/** The text of a notice. Throws ConfigError for a $name that nothing defines, and for faults of syntax. */
export function expandTemplate(template: Template, parameters: TemplateParameters, warn: Warn): string[] {
  return template.lines.map((line) => {
    if (!line.includes("$")) return line;
    const values = new Map<string, string | null>();
    const value = (name: string): string | null => {
      const known = values.get(name);
      if (known !== undefined) return known;
      const found = timeValue(name, template, parameters, warn) ??
        (parameters.raw(name) === null ? null : parameters.text(name).replaceAll("$", "$$$$"));
      values.set(name, found);
      return found;
    };
    const fatal = (what: string): ConfigError =>
      new ConfigError([`fatal: ${template.origin}: ${what} in ${template.class} template: ${line}`]);
    try {
      const text = expand(line, value);
      for (const [, plain, braced, bracketed] of line.replaceAll("$$", "").matchAll(PLAIN_NAME)) {
        if (value((plain ?? braced ?? bracketed)!) === null) throw fatal("undefined $name");
      }
      return text;
    } catch (caught) {
      if (!(caught instanceof ExpandError)) throw caught;
      warn(caught.message);
      throw fatal("bad $name syntax");
    }
  });
}

/** As `postconf -t` writes them; loadTemplates() reads that. */
export function templatesText(templates: Templates): string {
  const shown = TEMPLATE_CLASSES.map((of) => {
    const { charset, from, subject, postmasterSubject, lines } = templates[of];
    const copy = postmasterSubject === null ? [] : [`Postmaster-Subject: ${postmasterSubject}`];
    const head = [`Charset: ${charset}`, `From: ${from}`, `Subject: ${subject}`, ...copy, ""];
    return [`${of}_template = <<EOF`, ...head, ...lines, "EOF", ""].join("\n");
  });
  return shown.join("\n");
}

/** As `postconf -b` writes them. Throws ConfigError. */
export function expandedText(templates: Templates, parameters: TemplateParameters, warn: Warn): string {
  const shown = TEMPLATE_CLASSES.map((of) =>
    [`expanded_${of}_text = <<EOF`, ...expandTemplate(templates[of], parameters, warn), "EOF", ""].join("\n")
  );
  return shown.join("\n");
}

/** Templates of a file; throws ConfigError when it cannot be read. */
export function readTemplates(path: string, files: Pick<Files, "readSync">, warn: Warn): Templates {
  let text: string;
  try {
    text = latin1Decode(files.readSync(path));
  } catch (caught) {
    const code = systemCode(caught);
    throw new ConfigError([`fatal: open ${path}: ${code === "" ? messageOf(caught) : systemWords(code)}`]);
  }
  return loadTemplates(text, path, warn);
}

/** What bounce(8) uses: with a fault that would end Postfix's, the built-in ones. */
export function openTemplates(
  config: TemplateParameters & Pick<Config, "bounce_template_file">,
  files: Pick<Files, "readSync"> | null,
  warn: Warn,
): Templates {
  const path = config.bounce_template_file;
  if (path === "" || files === null) return BUILT_IN;
  try {
    const templates = readTemplates(path, files, warn);
    for (const of of TEMPLATE_CLASSES) expandTemplate(templates[of], config, () => {});
    return templates;
  } catch (caught) {
    if (!(caught instanceof ConfigError)) throw caught;
    for (const fault of caught.faults) warn(`${fault.replace(/^fatal: /, "")} -- using the built-in templates`);
    return BUILT_IN;
  }
}
