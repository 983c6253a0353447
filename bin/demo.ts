/**
 * npm start: the mail system for a newcomer, in the foreground, without root: everything below ./var, port 2525 of
 * loopback, one mailbox demo@localhost. Files of the configuration that are there already are left as they are.
 *   POSTRIDER_DEMO_PORT  another port (0: any that is free)     POSTRIDER_DEMO_DIR  another folder than ./var
 */

import { chownSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { dirname, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { currentRuntime } from "../runtimes/select.ts";
import { userNumbered } from "../src/config/passwd.ts";
import { ConfigError, messageOf } from "../src/errors.ts";
import { Master } from "../src/master.ts";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const port = Number(process.env.POSTRIDER_DEMO_PORT ?? "2525");
const folder = resolve(process.env.POSTRIDER_DEMO_DIR ?? `${project}/var`);
const runtime = await currentRuntime();
const user = userInfo();
const account = userNumbered(runtime, user.uid)?.name ?? user.username;
/** Mailboxes never belong to the super-user (virtual_minimum_uid): nobody's number. */
const NOBODY = 65534;
const owner = user.uid === 0 ? { uid: NOBODY, gid: NOBODY } : user;

const MAIN_CF = `# Postrider for trying out: see docs/parameters.md for every name.
compatibility_level = 3.6
queue_directory = ${folder}/spool
maillog_file = /dev/stdout
mail_owner = ${account}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4

# Who may send to other places: this machine alone.
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination

# Mail for demo@localhost goes to ${folder}/mail/localhost/demo/
myorigin = localhost
mydestination =
virtual_mailbox_domains = localhost
virtual_mailbox_base = ${folder}/mail
virtual_mailbox_maps = inline:{ demo@localhost=localhost/demo/ }
virtual_uid_maps = static:${owner.uid}
virtual_gid_maps = static:${owner.gid}
virtual_minimum_uid = ${Math.min(owner.uid, 100)}
`;

const MASTER_CF = `# service type private unpriv chroot wakeup maxproc command
${port}     inet  n  -  n  -  -  smtpd
smtp     unix  -  -  n  -  -  smtp
relay    unix  -  -  n  -  -  smtp
virtual  unix  -  -  n  -  -  virtual
error    unix  -  -  n  -  -  error
retry    unix  -  -  n  -  -  error
discard  unix  -  -  n  -  -  discard
`;

function prepare(): void {
  for (const name of ["etc", "spool", "mail/localhost"]) mkdirSync(`${folder}/${name}`, { recursive: true });
  if (user.uid === 0) chownSync(`${folder}/mail/localhost`, owner.uid, owner.gid);
  for (const [name, text] of [["main.cf", MAIN_CF], ["master.cf", MASTER_CF]] as const) {
    if (!existsSync(`${folder}/etc/${name}`)) writeFileSync(`${folder}/etc/${name}`, text);
  }
}

function welcome(address: string): string {
  const at = address.lastIndexOf(":");
  const [host, number] = [address.slice(0, at), address.slice(at + 1)];
  return `
Postrider listens on ${address}. Send a message from another terminal:

  swaks --server ${address} --from me@example.com --to demo@localhost

or with Python:

  python3 -c 'import smtplib
  s = smtplib.SMTP("${host}", ${number})
  s.sendmail("me@example.com", ["demo@localhost"], "Subject: Hello\\r\\n\\r\\nHello from Python\\r\\n")'

It lands in     ${folder}/mail/localhost/demo/new/
Configuration:  ${folder}/etc/main.cf and master.cf
The queue:      node bin/postrider.ts mailq -C ${folder}/etc
Mail for other domains is relayed for this machine: it goes out to the real world, by DNS.
Ctrl-C stops. What follows is the mail log.

`;
}

async function run(): Promise<number> {
  prepare();
  try {
    const master = Master.load(runtime, `${folder}/etc`);
    const ended = master.run();
    await master.start();
    console.log(welcome(master.addresses[0] ?? "nothing (see master.cf)"));
    await ended;
    return 0;
  } catch (caught) {
    const faults = caught instanceof ConfigError ? caught.faults : [messageOf(caught)];
    for (const fault of faults) console.error(`postrider: ${fault}`);
    return 1;
  }
}

process.exit(await run());
