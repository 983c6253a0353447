/**
 * A configuration that cannot be used: exit status 1, every fault at once, each with its file and line.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { freePort, scriptCommand } from "./postrider.ts";

const folder = mkdtempSync(join(tmpdir(), "postrider-bad-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

interface Setup {
  readonly main?: string;
  readonly master?: string | null;
  readonly port?: number;
  readonly queue?: string;
}

interface Ended {
  readonly code: number | null;
  /** The error output, the configuration folder written as ETC. */
  readonly errors: readonly string[];
}

async function attempt({ main = "", master = "", port, queue }: Setup): Promise<Ended> {
  const home = `${folder}/${++count}`;
  mkdirSync(`${home}/etc`, { recursive: true });
  const owner = userInfo().uid === 0 ? "root" : userInfo().username;
  const own = `compatibility_level = 3.6
queue_directory = ${queue ?? `${home}/spool`}
mail_owner = ${owner}
maillog_file = ${home}/mail.log
myhostname = mx.test.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
`;
  writeFileSync(`${home}/etc/main.cf`, `${own}${main}\n`);
  const smtpd = `127.0.0.1:${port ?? await freePort()} inet n - n - - smtpd`;
  if (master !== null) writeFileSync(`${home}/etc/master.cf`, `${smtpd}\n${master}\n`);
  const { command, arguments: words } = scriptCommand("bin/postrider.ts");
  const child = spawn(command, [...words, "start-fg", "-c", `${home}/etc`], { stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => errors += text);
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  clearTimeout(timer);
  return { code, errors: errors.replaceAll(`${home}/etc`, "ETC").split("\n").filter((line) => line !== "") };
}

/** Line 8 is the first of `main`, line 2 the first of `master`. */
const ROWS: readonly (readonly [string, Setup, readonly RegExp[]])[] = [
  ["a number that is none", { main: "message_size_limit = much" }, [
    /^postfix: fatal: ETC\/main\.cf, line 8: message_size_limit: bad number "much"/,
  ]],
  ["several faults in both files", {
    main: "smtpd_timeout = soon\n\n# a comment\nsmtpd_delay_reject = perhaps\nrelayhost = ${unfinished",
    master: "smtp unix - - n\nrelay unix - - n - - smtp -o smtp_connect_timeout=never",
  }, [
    /^postfix: fatal: ETC\/main\.cf, line 8: smtpd_timeout: /,
    /^postfix: fatal: ETC\/main\.cf, line 11: smtpd_delay_reject: /,
    /^postfix: fatal: ETC\/main\.cf, line 12: relayhost: /,
    /^postfix: fatal: .*ETC\/master\.cf.*line 2/,
    /^postfix: fatal: .*ETC\/master\.cf, line 3: smtp_connect_timeout: /,
  ]],
  ["a line without a name", { main: "this is no setting" }, [/^postfix: fatal: .*ETC\/main\.cf.*line 8/]],
  ["no master.cf", { master: null }, [/^postfix: fatal: open ETC\/master\.cf: No such file or directory$/]],
  ["smtpd without relay control", { main: "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions =" }, [
    /in parameter \S+ or smtpd_recipient_restrictions, specify at least one working instance of: .*_domains$/,
  ]],
  ["an unknown restriction", { main: "smtpd_recipient_restrictions = permit_mynetworks, no_such_word, reject" }, [
    /no_such_word/,
  ]],
  ["a table type that is unknown", { main: "transport_maps = nothing:here" }, [
    /^postfix: fatal: transport_maps: unsupported dictionary type: nothing$/,
  ]],
  [
    "such a type in a list whose default is read when it is needed",
    { main: "smtpd_forbidden_commands = nothing:here" },
    [
      /^postfix: fatal: smtpd_forbidden_commands: unsupported dictionary type: nothing$/,
    ],
  ],
  ["a queue folder that cannot be made", { queue: "/proc/postrider/spool" }, [/^postfix: fatal: .*\/proc\/postrider/]],
];

for (const [name, setup, patterns] of ROWS) {
  test(name, { timeout: 30_000 }, async () => {
    const { code, errors } = await attempt(setup);
    assert.equal(code, 1, errors.join("\n"));
    for (const pattern of patterns) {
      assert.ok(errors.some((line) => pattern.test(line)), `${pattern}\n${errors.join("\n")}`);
    }
    assert.equal(errors.length, patterns.length, errors.join("\n"));
  });
}

test("a port that is taken", { timeout: 30_000 }, async () => {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  const { code, errors } = await attempt({ port });
  server.close();
  assert.equal(code, 1);
  assert.equal(errors.length, 1, errors.join("\n"));
  assert.match(errors[0]!, new RegExp(`^postfix: fatal: bind 127\\.0\\.0\\.1 port ${port}: Address already in use$`));
});
