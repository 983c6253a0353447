/**
 * Standard input as lines of Latin-1 text, without their newlines; a last line without one counts.
 */

import { latin1Decode } from "../latin1.ts";
import type { Tool } from "./tool.ts";

export async function inputLines(tool: Tool): Promise<string[]> {
  let text = "";
  for await (const piece of tool.processes.readInput()) text += latin1Decode(piece);
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}
