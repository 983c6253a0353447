/**
 * Our commands beside Debian's: the same arguments and input, the same output, error output and exit status. Queue ids,
 * sizes, dates and process ids are written as letters before comparing. Wanted differences are listed with reasons.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { freePort, scriptCommand, until } from "../postrider.ts";
import { debianPostfix } from "./debian-postfix.ts";

interface Ran {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

function spawned(command: string, words: readonly string[], input: string): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, NAME: "" };
    const child = spawn(command, words, { env });
    let [output, errors] = ["", ""];
    child.stdout.setEncoding("latin1").on("data", (text: string) => output += text);
    child.stderr.setEncoding("latin1").on("data", (text: string) => errors += text);
    child.stdin.on("error", () => {});
    child.stdin.end(input, "latin1");
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output, errors }));
  });
}

/** One instance of each kind, with the same settings. */
class Pair {
  readonly folder = mkdtempSync(join(tmpdir(), "postrider-commands-"));

  async prepare(): Promise<void> {
    const nowhere = await freePort();
    chmodSync(this.folder, 0o755);
    for (const name of ["debian", "ours"]) {
      const root = join(this.folder, name);
      for (const part of ["", "/etc", "/spool", "/lib"]) mkdirSync(root + part);
      writeFileSync(
        `${root}/etc/main.cf`,
        `compatibility_level = 3.6
queue_directory = ${root}/spool
data_directory = ${root}/lib
myhostname = mx.test.example
mail_name = Postfix
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:${nowhere}
local_recipient_maps =
alias_database =
maillog_file = ${root}/mail.log
maillog_file_prefixes = ${root}
message_size_limit = 20000
${name === "ours" ? "" : "command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nalias_maps =\n"}`,
      );
      writeFileSync(`${root}/etc/master.cf`, await masterFile());
    }
    writeFileSync(`${this.folder}/debian/mail.log`, "");
    chmodSync(`${this.folder}/debian/mail.log`, 0o666);
    await spawned("chown", ["postfix", `${this.folder}/debian/lib`], "");
    await this.both("postfix", ["check"]);
  }

  etc(name: "debian" | "ours"): string {
    return join(this.folder, name, "etc");
  }

  async debian(command: string, words: readonly string[], input = ""): Promise<Ran> {
    return this.#run("debian", command, [], command, words, input);
  }

  async ours(command: string, words: readonly string[], input = ""): Promise<Ran> {
    const { command: runtime, arguments: before } = scriptCommand("bin/postrider.ts");
    return this.#run("ours", runtime, [...before, command], command, words, input);
  }

  async both(command: string, words: readonly string[], input = ""): Promise<readonly [Ran, Ran]> {
    return await Promise.all([this.ours(command, words, input), this.debian(command, words, input)]);
  }

  async #run(
    name: "debian" | "ours",
    program: string,
    before: readonly string[],
    command: string,
    words: readonly string[],
    input: string,
  ): Promise<Ran> {
    const directory = ["sendmail", "mailq", "newaliases"].includes(command) ? "-C" : "-c";
    return await spawned(program, [...before, directory, this.etc(name), ...words], input);
  }

  async queue(name: "debian" | "ours"): Promise<string[]> {
    const { output } = await this[name]("postqueue", ["-j"]);
    return output.split("\n").filter((line) => line !== "");
  }
}

async function masterFile(): Promise<string> {
  return `127.0.0.1:${await freePort()} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
postlog unix-dgram n - n - 1 postlogd
`;
}

/**
 * Debian's says in warnings what its own processes could not reach; its postlog and postdrop log to the error output
 * what ours say in one line.
 */
const OF_PROCESSES =
  /^\w+: warning: (unable to look up public|connect to public|mail_stream_cleanup|uid=0: File too large).*\n/gm;

function plain({ status, output, errors }: Ran): Ran {
  const text = (given: string): string =>
    given.replace(/-> \d+|\b[0-9A-F]{10,13}\b(?=[!*#]* |:|"|;| \*)/g, "ID")
      .replace(/\b[0-9a-f]{32}\b/g, "ID")
      .replace(/^(ID[!*#]*) +\d+ \w{3} \w{3} [ \d]\d [\d:]{8}/gm, "$1 SIZE DATE")
      .replace(/"arrival_time": \d+, "message_size": \d+/g, '"arrival_time": DATE, "message_size": SIZE')
      .replace(/^-- \d+ Kbytes/m, "-- N Kbytes")
      .replace(/\/(ours|debian)\//g, "/SITE/")
      .replace(/\[127\.0\.0\.1\]:\d+/g, "[127.0.0.1]:PORT")
      // Ours tries what is released at once, and finds the destination dead.
      .replaceAll("delivery temporarily suspended: ", "");
  return { status, output: text(output), errors: text(errors).replace(OF_PROCESSES, "") };
}

/**
 * Postfix lists a queue in the order of its folders, ours by time; Debian's qshape has domains with the same count in
 * Perl's hash order, another one in each run.
 */
function sorted(ran: Ran): Ran {
  if (/^ +T /.test(ran.output)) return { ...ran, output: ran.output.trimEnd().split("\n").sort().join("\n") };
  const blocks = ran.output.replace(/^-Queue ID-.*\n/, "$&\n").trimEnd();
  const parts = blocks.startsWith("{") ? blocks.split("\n") : blocks.split("\n\n");
  return { ...ran, output: parts.sort().join("\n\n") };
}

/** Command lines whose whole answer must be equal while nothing runs and the queue is empty. */
const SAME: readonly (readonly [string, string[], string?])[] = [
  ...[
    [],
    ["-Z"],
    ["-t"],
    ["-f"],
    ["-n", "a"],
    ["-bz"],
    ["-bp", "x"],
    ["-bi", "x"],
    ["-bd", "x"],
    ["-bs", "x"],
    ["-bi"],
    ["-bh"],
    ["-bp"],
    ["-q"],
    ["-q5m"],
    ["-q15m", "a@b"],
    ["-bp", "-q1h"],
    ["-bs", "-q0"],
    ["-q", "x"],
    ["-qx"],
    ["-qR"],
    ["-qI"],
    ["-qIABCDEF0"],
    ["-qIa!"],
    ["-qRfoo", "x"],
    ["-Xq"],
    ["-B", "x", "a"],
    ["-oA"],
    ["-t", "-bp"],
    ["-XVab", "-f", "a@b", "c"],
    ["-f", "x y", "-t"],
    ["-C", "/nonexistent"],
  ].map((words): [string, string[]] => ["sendmail", words]),
  ["sendmail", ["a"], "0123456789\n".repeat(3000)],
  ["mailq", []],
  ["mailq", ["x"]],
  ["newaliases", []],
  ["newaliases", ["x"]],
  ...[[], ["-z"], ["-p"], ["-j"], ["-pf"], ["-p", "x"], ["-f"], ["-i", ""], ["-i", "a b"], ["-i", "ABCDEF0"]].map((
    words,
  ): [string, string[]] => ["postqueue", words]),
  ["postqueue", ["-s", "a b"]],
  ["postqueue", ["-s", "@x"]],
  ...[[], ["-z"], ["-d"], ["-d", "ABCDEF0"], ["-d", "ALL"], ["-h", "ALL", "deferred"], ["-H", "ALL"], ["-r", "ALL"]]
    .map((
      words,
    ): [string, string[]] => ["postsuper", words]),
  ["postsuper", ["-s"]],
  ["postsuper", ["-p"]],
  ["postsuper", ["-d", "ABC!"]],
  ["postsuper", ["-d", "-"]],
  ["postsuper", ["-d", "-"], "ABCDEF0\nABCDEF1\n"],
  ["postsuper", ["-d", "ABCDEF0", "-h", "ABCDEF1"]],
  ["postsuper", ["-d", "ALL", "nosuch"]],
  ["postcat", ["-z"]],
  ["postcat", ["-q", "ABCDEF0"]],
  ["postcat", ["-q", "foo!"]],
  ["postcat", ["-q"]],
  ["postcat", [], "hello"],
  ["postcat", ["-s", "1x"]],
  ["postsuper", ["-d", "-"], "ABCDEF0 ABCDEF1\n\nALL\n"],
  ["postcat", ["/nonexistent"]],
  ["postcat", ["/etc/passwd"]],
  ["postlog", ["a", "b"]],
  ["postlog", ["-p", "warn", "-t", "tag", "x"]],
  ["postdrop", ["-z"]],
  ["qshape", ["deferred"]],
];

/** Wanted differences: what Debian's says that ours does not, and the reason. */
const DIFFERENT: readonly (readonly [string, string[], RegExp, RegExp, string])[] = [
  ["sendmail", ["-XV-=", "-f", "a@b", "c"], /^$/, /-XV is not implemented/, "there is no VERP yet"],
  [
    "postqueue",
    ["-s", "foo.example"],
    /Flush service is not configured/,
    /mail system is down/,
    "any domain can be flushed",
  ],
];

describe("commands beside Debian's", { skip: debianPostfix ? false : "needs root and Debian's postfix" }, () => {
  const pair = new Pair();
  before(() => pair.prepare());
  after(async () => {
    await Promise.all([pair.ours("postfix", ["stop"]), pair.debian("postfix", ["stop"])]);
    rmSync(pair.folder, { recursive: true, force: true });
  });

  for (const [command, words, input = ""] of SAME) {
    it(`${[command, ...words].join(" ")} says the same`, async () => {
      const [ours, debians] = (await pair.both(command, words, input)).map(plain);
      // getopt's complaint comes twice from Debian's sendmail: it reads the line twice.
      const once = command === "sendmail" ? debians!.errors.replace(/^(.*\n)\1/, "$1") : debians!.errors;
      assert.deepEqual(ours, { ...debians!, errors: once });
    });
  }
  for (const [command, words, theirs, own, reason] of DIFFERENT) {
    it(`${[command, ...words].join(" ")} differs: ${reason}`, async () => {
      const [ours, debians] = await pair.both(command, words, "x\n");
      assert.match(debians.output + debians.errors.replace(OF_PROCESSES, ""), theirs);
      assert.match(ours.output + ours.errors, own);
      await pair.debian("postsuper", ["-d", "ALL"]);
    });
  }

  const DROPPED: readonly (readonly [string[], string])[] = [
    [["-f", "s@x.example", "a@b.example", "b@b.example"], "Subject: x\n\nbody\n"],
    [["-f", "", "a,b", "c d", "<x@y> z", "g: e, f;", ""], ">From x\nFrom y\nSubject: s\r\n\r\nbody\r\n.\r\nno\n"],
    [
      ["-t", "-f", "Foo <foo@bar>", "k@l"],
      'To: a@b, "X Y" <c@d> (co), grp: e@f, g@h;\nCc: a b c@d,\n f@x\nBcc: bb@x\n\nx\n',
    ],
    [["-t", "-i"], "To: a@b\nResent-To: c@d\nSubject: s\n\n.\nbody\n"],
    [["-F", "Full Name", "-N", "success,delay", "-R", "hdrs", "-V", "abc", "-B8BITMIME", "-G", "a"], "no header\nbody"],
  ];
  for (const [words, input] of DROPPED) {
    it(`sendmail ${words.join(" ")} drops the same message`, async () => {
      const [ours, debians] = (await pair.both("sendmail", words, input)).map(plain);
      assert.deepEqual(ours, debians);
      const shown = async (name: "ours" | "debian"): Promise<string[]> => {
        const folder = join(pair.folder, name, "spool/maildrop");
        const [file] = readdirSync(folder);
        const { output } = await pair[name]("postcat", [join(folder, file!)]);
        await pair[name]("postsuper", ["-d", "ALL"]);
        return output.split("\n").filter((line) => !/^\*\*\* |^message_arrival|rewrite_context/.test(line));
      };
      assert.deepEqual(comparable(await shown("ours")), comparable(await shown("debian")));
    });
  }

  it("list, hold, release, show and remove deferred mail in the same way", async () => {
    for (const name of ["ours", "debian"] as const) {
      assert.equal((await pair[name]("postfix", ["start"])).status, 0);
      await pair[name](
        "sendmail",
        ["-f", "s@x.example", "a@b.example", "b@b.example", "c@d.example"],
        "Subject: x\n\nb\n",
      );
      const tried = async (): Promise<boolean> => (await pair.queue(name)).join().includes("delay_reason");
      await until(tried, 10_000, () => readFileSync(`${pair.folder}/${name}/mail.log`, "latin1"));
      await pair[name]("sendmail", ["-f", "", "e@f.example"], "Subject: y\n\nb\n");
      const both = async (): Promise<boolean> => (await pair.queue(name)).join().split('refused"}]}').length === 3;
      await until(both, 10_000, () => `${name}: ${readFileSync(`${pair.folder}/${name}/mail.log`, "latin1")}`);
    }
    const ids = { ours: await idOf("ours"), debian: await idOf("debian") };
    const compare = async (command: string, words: readonly string[], input = ""): Promise<void> => {
      const filled = (id: string): string[] => words.map((word) => word.replace("ID", id));
      const ours = await pair.ours(command, filled(ids.ours), input.replace("ID", ids.ours));
      const debians = await pair.debian(command, filled(ids.debian), input.replace("ID", ids.debian));
      assert.deepEqual(sorted(plain(ours)), sorted(plain(debians)), `${command} ${words.join(" ")}`);
    };
    await compare("mailq", []);
    await compare("sendmail", ["-bp"]);
    await compare("postqueue", ["-p"]);
    await compare("postqueue", ["-j"]);
    await compare("qshape", ["deferred"]);
    await compare("qshape", ["-s", "-b", "4", "-t", "10", "deferred"]);
    await compare("qshape", ["-p", "-m", "1", "deferred"]);
    await compare("postcat", ["-qb", "ID"]);
    await compare("postcat", ["-qdb", "ID"]);
    await compare("postcat", ["-qs", "1x", "ID"]);
    await compare("postcat", ["-q"], "hello");
    await compare("postsuper", ["-h", "ID"]);
    await compare("mailq", []);
    await compare("qshape", ["hold"]);
    await compare("postsuper", ["-H", "ID"]);
    await compare("postsuper", ["-h", "-"], "ID\n");
    await compare("postsuper", ["-H", "ALL"]);
    await until(async () => !/"active"|"hold"/.test((await pair.queue("ours")).join()), 10_000, () => "not deferred");
    await compare("postsuper", ["-h", "ALL", "deferred"]);
    await compare("postqueue", ["-f"]);
    await compare("postqueue", ["-i", "ID"]);
    await compare("postqueue", ["-j"]);
    await until(async () => !(await pair.queue("ours")).join().includes('"active"'), 10_000, () => "not deferred");
    await compare("postsuper", ["-h", "ALL"]);
    await compare("postsuper", ["-e", "ID"]);
    await compare("mailq", []);
    await compare("postsuper", ["-e", "ID"]);
    await compare("postsuper", ["-e", "ALL", "deferred", "incoming"]);
    await compare("postsuper", ["-h", "ID", "-e", "-"], "ALL\n");
    await compare("postqueue", ["-j"]);
    await compare("mailq", []);
    await compare("postsuper", ["-f", "ALL", "deferred"]);
    await compare("postsuper", ["-d", "ID"]);
    await compare("postsuper", ["-d", "ID"]);
    await compare("postsuper", ["-f", "ALL"]);
    // Ours is returned at once, theirs at the next queue run.
    await pair.both("postsuper", ["-d", "ALL"]);
    await compare("mailq", []);

    async function idOf(name: "ours" | "debian"): Promise<string> {
      const line = (await pair.queue(name)).find((one) => one.includes("s@x.example"))!;
      return (JSON.parse(line) as { queue_id: string }).queue_id;
    }
  });
});

/**
 * Postfix shows no quotes in envelope addresses, writes the submitter's name where ours leaves it to pickup, keeps
 * source routes, an empty address and recipients of headers apart.
 */
function comparable(lines: readonly string[]): string[] {
  const own = /^(sender_fullname|sender): root$/;
  return lines.filter((line) => !own.test(line)).map((line) => line.replace("recipient: MAILER-DAEMON", "recipient: "))
    .sort();
}
