/**
 * sendmail(1): the command line of Sendmail, as Postfix reads it; also mailq(1) and newaliases(1) by name. Submission
 * is in sendmail/, the other modes call the commands that do the work.
 * Exit status: 0; 75 (EX_TEMPFAIL) for what is fatal, as in Postfix; else the status of the command called.
 */

import type { Config } from "../config/config.ts";
import { userNumbered } from "../config/passwd.ts";
import { systemCode } from "../errors.ts";
import { latin1Encode, latin1Of, unicodeOf } from "../latin1.ts";
import type { Processes, Runtime } from "../runtime.ts";
import { submit } from "../sendmail/sendmail.ts";
import { knock } from "./knock.ts";
import { postalias } from "./postalias.ts";
import { postfix } from "./postfix.ts";
import { postqueue } from "./postqueue.ts";
import { type Mode, type Request, SendmailOptions } from "./sendmail-options.ts";
import { Fatal, runTool, systemText, type Tool } from "./tool.ts";

const TEMPFAIL = 75;

export function sendmail(runtime: Runtime, arguments_: readonly string[]): Promise<number> {
  return run(runtime, "sendmail", "enqueue", arguments_);
}

export function mailq(runtime: Runtime, arguments_: readonly string[]): Promise<number> {
  return run(runtime, "mailq", "mailq", arguments_);
}

export function newaliases(runtime: Runtime, arguments_: readonly string[]): Promise<number> {
  return run(runtime, "newaliases", "newaliases", arguments_);
}

function run(runtime: Runtime, name: string, mode: Mode, words: readonly string[]): Promise<number> {
  return runTool(runtime, name, TEMPFAIL, (tool) => {
    const options = new SendmailOptions(tool, mode);
    const request = options.read(words.map(latin1Of));
    if (request.interval && request.mode !== "daemon") return Promise.resolve(0);
    const directory = tool.directory(request.directory === null ? null : unicodeOf(request.directory));
    const config = tool.config(directory);
    return MODES[request.mode]({ tool, request, directory, config });
  });
}

interface Call {
  readonly tool: Tool;
  readonly request: Request;
  readonly directory: string;
  readonly config: Config;
}

function noRecipients({ request }: Call, doing: string): void {
  if (request.operands.length > 0) throw new Fatal(`${doing} requires no recipient`);
}

const MODES: Readonly<Record<Mode, (call: Call) => Promise<number>>> = {
  enqueue: (call) => {
    const { site, id } = call.request;
    const { runtime } = call.tool;
    if (site !== "") {
      noRecipients(call, "flush site");
      return postqueue(runtime, ["-c", call.directory, "-s", unicodeOf(site)]);
    }
    if (id !== "") {
      noRecipients(call, "flush queue_id");
      return postqueue(runtime, ["-c", call.directory, "-i", unicodeOf(id)]);
    }
    return enqueue(call);
  },
  mailq: (call) => {
    noRecipients(call, "display queue mode");
    return postqueue(call.tool.runtime, ["-c", call.directory, "-p"]);
  },
  flush: (call) => {
    noRecipients(call, "flush queue mode");
    return postqueue(call.tool.runtime, ["-c", call.directory, "-f"]);
  },
  // As with sendmail's daemon nobody waits for it to be up.
  daemon: async (call) => {
    noRecipients(call, "daemon mode");
    await postfix(call.tool.runtime, ["-c", call.directory, "start"]);
    return 0;
  },
  newaliases: (call) => {
    noRecipients(call, "alias initialization mode");
    const database = call.request.aliases ?? call.config.text("alias_database");
    if (database === "") return Promise.resolve(0);
    return postalias(call.tool.runtime, ["-c", call.directory, "--", ...database.split(/[ \t,]+/).map(unicodeOf)]);
  },
  "stand-alone": async (call) => {
    noRecipients(call, "stand-alone mode");
    const { standAlone } = await import("./stand-alone.ts");
    return await standAlone(call.tool, call.config);
  },
  ignore: () => Promise.resolve(0),
};

async function enqueue(call: Call): Promise<number> {
  const { tool, request, config } = call;
  const { runtime, processes } = tool;
  const uid = processes.uid();
  const login = userNumbered(runtime, uid)?.name;
  if (login === undefined && request.sender === null) throw new Fatal(`no login name found for user ID ${uid}`);
  const from = request.sender ?? login ?? "";
  const who = `${from}(${uid})`;
  let result: Awaited<ReturnType<typeof submit>>;
  try {
    result = await submit({
      runtime,
      queueDirectory: config.queue_directory,
      sizeLimit: config.message_size_limit,
      submission: {
        sender: request.sender,
        fullName: request.fullName ?? environmentName(processes),
        recipients: request.recipients,
        encoding: request.encoding,
        notify: request.notify,
        ret: request.ret,
        envid: request.envid,
        ...request.report === null ? {} : { report: request.report },
      },
      fromHeaders: request.fromHeaders,
      dotEnds: request.dotEnds,
      emptyRecipient: config.text("empty_address_recipient"),
    }, request.report === "deliverability" ? probe(request, from) : processes.readInput());
  } catch (caught) {
    if (systemCode(caught) === "") throw caught;
    throw new Fatal(`${who}: queue file write error: maildrop: ${systemText(caught)}`);
  }
  if (result === "too big") throw new Fatal(`${who}: message file too big`);
  if (result === "no recipients") {
    throw new Fatal(
      `${who}: ` +
        (request.fromHeaders
          ? "No recipient addresses found in message header"
          : "Recipient addresses must be specified on the command line or via the -t option"),
    );
  }
  if (request.report !== null) tool.print(`Mail Delivery Status Report will be mailed to <${from}>.\n`);
  await knock(runtime, config);
  return 0;
}

function environmentName({ environment }: Processes): string | null {
  return environment.NAME === undefined ? null : latin1Of(environment.NAME);
}

/** What stands for a message in the report about it. */
async function* probe({ recipients }: Request, from: string): AsyncIterable<Uint8Array> {
  const to = recipients.map((recipient) => `\t${recipient}`).join(",\n");
  yield latin1Encode(`${from === "" ? "" : `From: ${from}\n`}Subject: probe\nTo:${to}\n`);
}
