/**
 * postrider explain: what the system would do with a mail, step by step, with file and line of what decided. Nothing is
 * queued or sent.
 * Exit status: 0 the mail would be taken, 1 refused for good, 75 put off, 64 the command line is wrong, 69 the
 * configuration cannot be used.
 */

import { type ArgsDef, defineCommand, parseArgs, renderUsage } from "citty";
import { loadConfig } from "../config/config.ts";
import { type DnsScript, parseDnsScript } from "../explain/dns.ts";
import { explain as explained, type Explanation, type Question } from "../explain/explain.ts";
import { traceText } from "../explain/trace.ts";
import { latin1Decode, latin1Encode, latin1Of, unicodeOf } from "../latin1.ts";
import type { Runtime } from "../runtime.ts";
import { addressFamily } from "../dns/literal.ts";
import { type PeerName, UNKNOWN } from "../smtpd/peer.ts";
import { Fatal, runTool, type Tool } from "./tool.ts";

const ARGUMENTS = {
  client: { type: "string", description: "address of the client", default: "192.0.2.1" },
  name: { type: "string", description: "verified name of the client, or unknown; looked up without it" },
  helo: { type: "string", description: "what the client says in EHLO; [address] without it" },
  sender: { type: "string", description: "envelope sender", default: "" },
  message: { type: "string", description: "file with the message; an empty one without it" },
  dns: { type: "string", description: "file with DNS records that take the place of the name servers" },
  service: { type: "string", description: "first column of the smtpd service in master.cf" },
  config: { type: "string", description: "configuration directory" },
  json: { type: "boolean", description: "the answer for programs" },
} as const satisfies ArgsDef;

const PROBLEM = 64;
const REFUSED = 1;
const PUT_OFF = 75;
const TAKEN = 0;

interface Given {
  readonly client: string;
  readonly name?: string;
  readonly helo?: string;
  readonly sender: string;
  readonly message?: string;
  readonly dns?: string;
  readonly service?: string;
  readonly config?: string;
  readonly json?: boolean;
  readonly _: readonly string[];
}

async function usage(): Promise<string> {
  const meta = {
    name: "postrider explain [OPTIONS] RECIPIENT...",
    description: "what would be done with a mail, and why",
  };
  // deno-lint-ignore no-control-regex
  return (await renderUsage(defineCommand({ meta, args: ARGUMENTS }))).replace(/\x1b\[[0-9;]*m/g, "");
}

function unknownOption(words: readonly string[]): string | undefined {
  return words.find((word) => word.startsWith("-") && !Object.hasOwn(ARGUMENTS, /^--(\w+)/.exec(word)?.[1] ?? ""));
}

async function questionOf(tool: Tool, given: Given): Promise<Question> {
  const { client, name, helo, sender, message, dns, service, _: recipients } = given;
  if (addressFamily(client) === null) throw new Fatal(`--client ${client} is not an address`);
  const read = (path: string): Promise<Uint8Array> => tool.files.read(path);
  const script: DnsScript | null = dns === undefined ? null : parseDnsScript(latin1Decode(await read(dns)), dns);
  return {
    address: client,
    name: name === undefined ? null : peerOf(name),
    helo: helo ?? (client.includes(":") ? `[IPv6:${client}]` : `[${client}]`),
    sender: latin1Of(sender),
    recipients: recipients.map(latin1Of),
    message: message === undefined ? null : withCrLf(await read(message)),
    dns: script,
    service: service ?? null,
  };
}

function peerOf(name: string): PeerName {
  const nameStatus = name === UNKNOWN ? "permanent" : "ok";
  return { name, nameStatus, reverseName: name, reverseStatus: nameStatus };
}

function withCrLf(bytes: Uint8Array): Uint8Array {
  const text = latin1Decode(bytes).replace(/\r?\n/g, "\r\n");
  return latin1Encode(text === "" || text.endsWith("\r\n") ? text : `${text}\r\n`);
}

/** The worst of the replies: what a client makes of it. */
function statusOf({ replies, deliveries }: Explanation): number {
  if (deliveries.length > 0) return TAKEN;
  const codes = replies.map(({ reply }) => Number(reply.split("\n").at(-1)?.slice(0, 3)));
  return codes.some((code) => code >= 500) ? REFUSED : PUT_OFF;
}

export function explain(runtime: Runtime, arguments_: readonly string[]): Promise<number> {
  return runTool(runtime, "explain", 69, async (tool) => {
    const unknown = unknownOption(arguments_);
    const given = parseArgs([...arguments_], ARGUMENTS) as unknown as Given;
    if (unknown !== undefined || given._.length === 0) {
      tool.tell(`fatal: ${unknown === undefined ? "no recipient is given" : `unknown option ${unknown}`}`);
      tool.processes.writeError(latin1Encode(latin1Of(`${await usage()}\n`)));
      return PROBLEM;
    }
    const answer = await explained(
      runtime,
      loadConfig(runtime, tool.directory(given.config ?? null)),
      await questionOf(tool, given),
    );
    if (given.json === true) tool.print(`${latin1Of(JSON.stringify(answer, texts, 2))}\n`);
    else tool.print(traceText(answer.steps));
    return statusOf(answer);
  });
}

/** Texts of the program are bytes; JSON has characters. */
function texts(_key: string, value: unknown): unknown {
  return typeof value === "string" ? unicodeOf(value) : value;
}
