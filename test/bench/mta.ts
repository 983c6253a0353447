/**
 * Starts Postrider by the contract of test/bench/mta/peers/command.mjs: BENCH_PORT, BENCH_SINK_PORT, BENCH_ROOT (an
 * empty folder), BENCH_VARIANT (relay | accept), BENCH_MAIN (more lines of main.cf). Runs on whatever runtime runs this
 * file, in this very process.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import process from "node:process";
import { currentRuntime } from "../../runtimes/select.ts";
import { postfix } from "../../src/commands/postfix.ts";

const {
  BENCH_PORT: port = "2525",
  BENCH_SINK_PORT: sink = "2526",
  BENCH_ROOT: root = "",
  BENCH_VARIANT: variant,
  BENCH_MAIN: more,
} = process.env;
if (root === "") throw new Error("BENCH_ROOT is not set");
mkdirSync(`${root}/etc`, { recursive: true });
const owner = process.getuid?.() === 0 ? "root" : userInfo().username;
writeFileSync(
  `${root}/etc/main.cf`,
  `compatibility_level = 3.6
queue_directory = ${root}/spool
maillog_file = ${root}/mail.log
mail_owner = ${owner}
myhostname = postrider.bench.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:${sink}
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_recipient_access inline:{ reject@sink.example=REJECT }
${variant === "accept" ? "defer_transports = smtp\n" : ""}${more ?? ""}`,
);
writeFileSync(
  `${root}/etc/master.cf`,
  `127.0.0.1:${port} inet n - n - 0 smtpd
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
`,
);
const runtime = await currentRuntime();
process.exitCode = await postfix(runtime, ["start-fg", "-c", `${root}/etc`]);
