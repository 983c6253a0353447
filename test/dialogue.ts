/**
 * SMTP dialogues as text: test/dialogues/*.txt.
 *   ! name = value    a line of main.cf for this dialogue
 *   C: text           sent with CRLF; lines that follow each other go out in one write. \r \n \t \0 \x41 are escapes,
 *                     and a line that ends with \c is sent without CRLF
 *   S: text           one line of a reply; * stands for anything
 *   S: (closed)       the server closes the connection
 *   # text            a remark
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { SmtpClient } from "./smtp-client.ts";

const FOLDER = new URL("./dialogues/", import.meta.url);

export interface DialogueScript {
  readonly name: string;
  readonly settings: readonly string[];
  /** What is sent, then the reply lines that must come. */
  readonly steps: readonly { readonly send: string; readonly sent: string; readonly expect: readonly string[] }[];
}

function unescape(text: string): string {
  const bare = text.endsWith("\\c");
  const line = (bare ? text.slice(0, -2) : text).replace(
    /\\(?:x([0-9a-f]{2})|(.))/gi,
    (_all, hex: string, char: string) => {
      if (hex !== undefined) return String.fromCharCode(parseInt(hex, 16));
      return ({ r: "\r", n: "\n", t: "\t", 0: "\0" } as Record<string, string>)[char] ?? char;
    },
  );
  return bare ? line : `${line}\r\n`;
}

function parse(name: string, text: string): DialogueScript {
  const settings: string[] = [];
  const steps: { send: string; sent: string; expect: string[] }[] = [{ send: "", sent: "", expect: [] }];
  let former = "S";
  for (const line of text.split("\n")) {
    const [mark, rest] = [line.slice(0, 1), line.slice(3)];
    if (mark === "!") settings.push(line.slice(2));
    else if (mark === "C") {
      if (former === "S") steps.push({ send: "", sent: "", expect: [] });
      const step = steps.at(-1)!;
      step.send += unescape(rest);
      step.sent += `${rest} `;
    } else if (mark === "S") steps.at(-1)!.expect.push(rest);
    if (mark === "C" || mark === "S") former = mark;
  }
  return { name, settings, steps };
}

export function dialogueScripts(): DialogueScript[] {
  return readdirSync(FOLDER).filter((name) => name.endsWith(".txt")).sort()
    .map((name) => parse(name.replace(".txt", ""), readFileSync(new URL(name, FOLDER), "utf8")));
}

function matches(pattern: string, line: string): boolean {
  const expression = pattern.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*");
  return new RegExp(`^${expression}$`, "s").test(line);
}

/** Runs it against a server; `allow` may take back a difference. */
export async function runDialogue(
  script: DialogueScript,
  port: number,
  allow: (sent: string, got: readonly string[]) => boolean = () => false,
): Promise<void> {
  const client = await SmtpClient.connect(port);
  try {
    for (const { send, sent, expect } of script.steps) {
      if (send !== "") client.write(send);
      const got: string[] = [];
      while (got.length < expect.length) {
        const reply = await client.reply();
        got.push(...reply === "" ? ["(closed)"] : reply.split("\n").map((line) => line.replace(/\r$/, "")));
        if (reply === "") break;
      }
      const fits = got.length === expect.length && got.every((line, at) => matches(expect[at]!, line));
      if (!fits && !allow(sent.trim(), got)) assert.deepEqual(got, expect, `${script.name}: after ${sent}`);
    }
  } finally {
    client.close();
  }
}
