/**
 * Debian's Postfix as a private instance below a folder of its own, to run beside ours. Needs root and the package.
 */

import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { freePort } from "../postrider.ts";
import { SmtpClient } from "../smtp-client.ts";

export const debianPostfix: boolean = userInfo().uid === 0 && existsSync("/usr/lib/postfix/sbin/master");

const SERVICES = `pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`;

export interface DebianPostfix {
  readonly folder: string;
  readonly port: number;
  log(): string;
  /** After stop of another kind: the same instance again. */
  start(): void;
  stop(): void;
}

export interface DebianOptions {
  /** Lines of master.cf beside the usual ones. */
  readonly services?: string;
  /** Words before the commands that start it. */
  readonly before?: readonly string[];
}

/**
 * The settings with only the last of each name. A second one is a warning of every process, and postlogd, which sends
 * its own to the socket it reads, waits for itself forever once ten of them are in it.
 */
function eachOnce(settings: string): string {
  const last = new Map(settings.split(/\n(?!\s)/).map((entry) => [/^\w*/.exec(entry)![0], entry]));
  last.delete("");
  return [...last.values(), ""].join("\n");
}

export async function startDebianPostfix(main: string, options: DebianOptions = {}): Promise<DebianPostfix> {
  const folder = mkdtempSync(join(tmpdir(), "debian-postfix-"));
  const port = await freePort();
  for (const name of ["etc", "spool", "lib"]) mkdirSync(`${folder}/${name}`);
  chmodSync(folder, 0o755);
  execFileSync("chown", ["postfix", `${folder}/lib`]);
  const settings = `compatibility_level = 3.6
queue_directory = ${folder}/spool
data_directory = ${folder}/lib
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = ${folder}/mail.log
maillog_file_prefixes = ${folder}
myhostname = mx.test.example
mydestination =
alias_maps =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
disable_dns_lookups = yes
${main}
`;
  writeFileSync(`${folder}/etc/main.cf`, eachOnce(settings));
  writeFileSync(
    `${folder}/etc/master.cf`,
    `127.0.0.1:${port} inet n - n - - smtpd\n${SERVICES}${options.services ?? ""}\n`,
  );
  const command = (word: string): void => {
    const [program = "", ...words] = [...options.before ?? [], "postfix", "-c", `${folder}/etc`, word];
    execFileSync(program, words, { stdio: "ignore" });
  };
  command("start");
  return {
    folder,
    port,
    start: () => command("start"),
    log: () => readFileSync(`${folder}/mail.log`, "latin1"),
    stop: () => {
      command("stop");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface Mail {
  readonly sender: string;
  /** Parameters of MAIL FROM. */
  readonly options?: string;
  /** Addresses with the parameters of RCPT TO after them. */
  readonly recipients: readonly string[];
  /** Lines ended by CRLF; dots are stuffed here. */
  readonly content: string;
}

/** Hands a message in and gives the reply after the dot. */
export async function submit(port: number, mail: Mail): Promise<string> {
  const client = await SmtpClient.connect(port);
  const say = async (line: string): Promise<string> => {
    client.write(`${line}\r\n`);
    return await client.reply();
  };
  await client.reply();
  await say("EHLO client.example");
  await say(`MAIL FROM:<${mail.sender}> ${mail.options ?? ""}`.trimEnd());
  for (const recipient of mail.recipients) {
    await say(`RCPT TO:${recipient.replace(/^.*?@\S+/, "<$&>")}`);
  }
  await say("DATA");
  client.write(Uint8Array.from(mail.content.replace(/^\./gm, ".."), (char) => char.charCodeAt(0)));
  const reply = await say(".");
  await say("QUIT");
  client.socket.destroy();
  return reply;
}
