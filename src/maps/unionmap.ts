/**
 * unionmap:{type:name, ...} (DATABASE_README): the answers of all tables, with commas between. One that cannot answer
 * makes the whole "unsure".
 */

import type { Lookup } from "../lookup.ts";
import { NONE } from "../lookup.ts";
import type { TableType } from "./map.ts";
import { tablesInBraces } from "./words.ts";

function joined(answers: readonly Lookup[]): Lookup {
  const values: string[] = [];
  for (const answer of answers) {
    if (answer.kind === "unsure") return answer;
    if (answer.kind === "found") values.push(answer.value);
  }
  const value = values.join(",");
  return value === "" ? NONE : { kind: "found", value };
}

export const unionmapTable: TableType = (rest, context) => {
  const tables = tablesInBraces(rest, context);
  return {
    name: context.name,
    pattern: tables[0]!.pattern,
    get: (key) => {
      const answers = tables.map((table) => table.get(key));
      return answers.some((answer) => answer instanceof Promise)
        ? Promise.all(answers.map((answer) => Promise.resolve(answer))).then(joined)
        : joined(answers as readonly Lookup[]);
    },
  };
};
