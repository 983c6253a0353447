/**
 * Values that name files (`postmap -F`): the files' contents, joined by newlines, in base64. Source: postmap(1) -F.
 * What cannot be read is returned as a fault.
 */

import { messageOf, systemCode, systemWords } from "../errors.ts";
import { latin1Decode, latin1Encode } from "../latin1.ts";
import type { Files, Runtime } from "../runtime.ts";
import type { ValueRead } from "./text.ts";

export function filesValue(files: Files, value: string): ValueRead {
  const paths = value.split(/[, \t\r\n]+/).filter((path) => path !== "");
  if (paths.length === 0) return { fault: `empty pathname list: >>${value}<<'` };
  const contents: string[] = [];
  for (const path of paths) {
    try {
      contents.push(latin1Decode(files.readSync(path)));
    } catch (caught) {
      const code = systemCode(caught);
      const doing = code === "EISDIR" ? "read" : "open";
      return { fault: `${doing} ${path}: ${code === "" ? messageOf(caught) : systemWords(code)}` };
    }
  }
  return { value: btoa(contents.join("\n")) };
}

/** The value itself, or the content of the files that it names where values are names of files. */
export function namedValue(value: string, options: { readonly files?: boolean }, runtime: Runtime): ValueRead {
  return options.files === true && runtime.files !== null ? filesValue(runtime.files, value) : { value };
}

/** Null: not base64. */
export function fileText(value: string): string | null {
  if (value.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(value)) return null;
  try {
    return latin1Decode(latin1Encode(atob(value)));
  } catch {
    return null;
  }
}
