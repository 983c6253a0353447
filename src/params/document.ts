/**
 * The text of docs/parameters.md, from the table. Pure: the same rows give the same text.
 */

import { ROLES } from "../params.ts";
import type { Row } from "./kinds.ts";
import { unitOf } from "./kinds.ts";

const HEAD = `# Parameters

Generated from src/params.ts by \`node test/write-parameters.ts\`; a test fails when this page is stale.
Meaning of the values: postconf(5). Defaults follow Postfix 3.12;
where the article of 2000 that Postrider implements has another one, it
stands behind "article:". A name that is not implemented is read and reported at start, and has no effect.
Times without a unit have the unit in brackets.
`;

function code(text: string): string {
  return text === "" ? "(empty)" : `\`${text.replaceAll("|", "\\|")}\``;
}

function kindOf(row: Row): string {
  if (row.kind === "enum") return row.values!.join(", ");
  return row.kind === "time" ? `time (${unitOf(row)})` : row.kind;
}

function line(name: string, row: Row): string {
  const standard = row.computed === undefined ? code(row.default) : row.computed;
  const article = row.seed === undefined ? "" : `; article: ${code(row.seed)}`;
  const note = row.doc ?? "";
  const whose = row.own === true ? " Postrider's own." : row.hidden === true ? " An old name." : "";
  return `| ${name} | ${kindOf(row)} | ${standard}${article} | ${row.ready ? "yes" : "no"} | ${
    (note + whose).trim()
  } |`;
}

export function parametersDocument(): string {
  let text = HEAD;
  for (const [role, rows] of Object.entries(ROLES)) {
    text += `\n## ${role}\n\n| name | kind | default | implemented | what it does |\n| --- | --- | --- | --- | --- |\n`;
    for (const [name, row] of Object.entries(rows)) text += `${line(name, row)}\n`;
  }
  return text;
}
