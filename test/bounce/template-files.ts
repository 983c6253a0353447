/**
 * Template files, with the warnings (or the end) that Postfix's bounce(8) has for them: for template.test.ts, and for
 * Debian's postconf in test/system/templates.test.ts.
 */

export interface TemplateFile {
  readonly name: string;
  readonly text: string;
  /** What loading says; "fatal: ..." is its end. FILE stands for the file's name. */
  readonly loading?: readonly string[];
  /** What expansion says besides. */
  readonly expanding?: readonly string[];
}

const template = (name: string, ...lines: readonly string[]): string =>
  [`${name}_template = <<EOF`, ...lines, "EOF", ""].join("\n");

const conversion = (what: string, remedy: string, name: string, unit: string): readonly string[] => [
  `warning: FILE: ${what} in failure template conversion of parameter "${name}"`,
  `warning: please ${remedy} time unit "${unit}" of "${name}" in failure template`,
  "warning: for instructions see the bounce(5) manual",
];

export const TEMPLATE_FILES: readonly TemplateFile[] = [
  { name: "nothing", text: "" },
  { name: "comments", text: "# a\n\n  # b\n" },
  {
    name: "all fields",
    text: template(
      "failure",
      "CHARSET: iso-8859-1",
      "From:Postman <postman>",
      "subject :  It failed ",
      "Postmaster-Subject: Copy",
      "",
      "",
      "Host $mydomain ${mydomain} $(mydomain) $$5 ${nope?x}${mydomain?{yes}:{no}} \xe4",
      "  indented",
      "",
      "last",
    ),
  },
  {
    name: "times",
    text: template("failure", "$delay_warning_time_hours $maximal_queue_lifetime_days"),
  },
  {
    name: "times too long and too short",
    text: template("failure", "$maximal_queue_lifetime_minutes $maximal_queue_lifetime_weeks"),
    expanding: [
      ...conversion('excessive result "7200"', "increase", "maximal_queue_lifetime_minutes", "minutes"),
      ...conversion("zero result", "reduce", "maximal_queue_lifetime_weeks", "weeks"),
    ],
  },
  {
    name: "a unit that is none",
    text: template("failure", "$delay_warning_time_parsecs"),
    expanding: ['fatal: FILE: unrecognized suffix "parsecs" in parameter "delay_warning_time_parsecs"'],
  },
  { name: "no headers", text: template("success", "text right away", "more") },
  { name: "text behind headers", text: template("delay", "Subject: a", "text right away", "", "more") },
  { name: "indented headers", text: template("delay", "  Subject: a", "", " text") },
  { name: "one line", text: "failure_template = one line\n" },
  {
    name: "one line, a header",
    text: "failure_template = Subject: one line\n",
    loading: ["warning: FILE: missing message text in failure template -- ignoring this template"],
  },
  { name: "twice", text: template("failure", "first") + template("failure", "Subject: b", "", "second") },
  {
    name: "an unknown header",
    text: template("failure", "Subject: x", "Bad-Header: y", "", "text"),
    loading: ['warning: FILE: unknown "Bad-Header" header label in failure template -- ignoring this template'],
  },
  {
    name: "an empty header",
    text: template("delay", "Subject: ", "", "text"),
    loading: ['warning: FILE: empty "Subject" header value in delay template -- ignoring this template'],
  },
  {
    name: "an 8-bit header",
    text: template("delay", "Subject: \xe4", "", "text"),
    loading: ['warning: FILE: non-ASCII "Subject" header value in delay template -- ignoring this template'],
  },
  {
    name: "a header that does not apply",
    text: template("success", "Postmaster-Subject: y", "", "text"),
    loading: [
      'warning: FILE: inapplicable "Postmaster-Subject" header label in success template -- ignoring this template',
    ],
  },
  {
    name: "no text",
    text: template("verify", "Subject: x", "", "   "),
    loading: ["warning: FILE: missing message text in verify template -- ignoring this template"],
  },
  {
    name: "8-bit text in us-ascii",
    text: template("failure", "text \xe4"),
    loading: [
      "warning: FILE: 8-bit message text in failure template",
      "warning: please specify a charset value other than us-ascii",
      "warning: -- ignoring this template for now",
    ],
  },
  {
    name: "an unknown template",
    text: template("other", "x") + template("failure", "text"),
    loading: ["warning: FILE, line 4: unknown template name: other_template -- ignoring this template"],
  },
  {
    name: "no end",
    text: "failure_template = <<EOF\n\ntext\n",
    loading: ['warning: FILE, line 4: missing "EOF" end marker'],
  },
  {
    name: "CRLF",
    text: "failure_template = <<EOF\r\nSubject: a\r\n\r\ntext\r\nEOF\r\n",
    loading: ['warning: FILE, line 6: missing "EOF" end marker'],
  },
  {
    name: "no marker",
    text: "failure_template = <<\n\ntext\nEOF\n",
    loading: ["fatal: FILE, line 2: missing end marker after <<"],
  },
  {
    name: "a bad marker",
    text: "failure_template = << -EOF\n\ntext\n-EOF\n",
    loading: ["fatal: FILE, line 2: malformed end marker after <<"],
  },
  {
    name: "no equals sign",
    text: "nonsense\n",
    loading: ["fatal: FILE, line 2: missing '=' after attribute name: \"nonsense\""],
  },
  {
    name: "an undefined name",
    text: template("failure", "text $nosuch"),
    expanding: ["fatal: FILE: undefined $name in failure template: text $nosuch"],
  },
  {
    name: "a brace without end",
    text: template("failure", "text ${nosuch"),
    expanding: [
      'warning: truncated macro reference: "text ${nosuch"',
      "fatal: FILE: bad $name syntax in failure template: text ${nosuch",
    ],
  },
];
