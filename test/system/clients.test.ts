/**
 * Programs that we did not write: clients that hand mail in, and servers that take it.
 */

import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import nodemailer from "nodemailer";
import { freePort, type Running, startPostrider, until } from "../postrider.ts";
import { type Received, Sink } from "../sink.ts";
import { SmtpClient } from "../smtp-client.ts";

const BODY = "Hello,\n.\n..two dots\n.one dot and text\n\nFrom here on\n\u00e4\u00f6 8-bit\nlast line\n";
/** As bytes, in Latin-1 text. */
const BYTES = Buffer.from(BODY, "utf8").toString("latin1");
const folder = mkdtempSync(join(tmpdir(), "postrider-clients-"));
let sink: Sink;
let running: Running;

before(async () => {
  sink = await Sink.start();
  running = await startPostrider({ main: `relayhost = [127.0.0.1]:${sink.port}` });
});
after(async () => {
  await running.remove();
  await sink.close();
  rmSync(folder, { recursive: true, force: true });
});

async function arrived(recipient: string, count = 1): Promise<Received[]> {
  const mine = (): Received[] => sink.messages.filter(({ recipients }) => recipients.includes(recipient));
  await until(() => mine().length >= count, 15_000, () => running.log.slice(-2000));
  return mine();
}

const bodyOf = ({ content }: Received): string =>
  content.slice(content.indexOf("\r\n\r\n") + 4).replaceAll("\r\n", "\n");

function run(command: string, words: readonly string[], input = ""): void {
  const done = spawnSync(command, words, { input: Buffer.from(input, "utf8"), timeout: 30_000 });
  assert.equal(done.status, 0, `${command}: ${done.stdout}${done.stderr}${done.error ?? ""}`);
}

describe("clients hand mail in", () => {
  test("swaks", async () => {
    const file = `${folder}/swaks.txt`;
    // swaks ends the data with a line end of its own.
    writeFileSync(file, `Subject: swaks\n\n${BODY.slice(0, -1)}`);
    run("swaks", [
      "--server",
      `127.0.0.1:${running.port}`,
      "--from",
      "a@x.example",
      "--to",
      "swaks@y.example",
      "--data",
      `@${file}`,
    ]);
    assert.equal(bodyOf((await arrived("swaks@y.example"))[0]!), BYTES);
  });

  test("swaks with pipelining", async () => {
    run("swaks", [
      "--server",
      `127.0.0.1:${running.port}`,
      "--pipeline",
      "--from",
      "a@x.example",
      "--to",
      "pipe@y.example",
    ]);
    await arrived("pipe@y.example");
  });

  test("Python's smtplib", async () => {
    const script = `import smtplib,sys
s = smtplib.SMTP("127.0.0.1", ${running.port})
text = (b"Subject: py\\n\\n" + sys.stdin.buffer.read()).replace(b"\\n", b"\\r\\n")
s.sendmail("a@x.example", ["py1@y.example", "py2@y.example"], text, ["BODY=8BITMIME"])
s.quit()`;
    run("python3", ["-c", script], BODY);
    assert.equal(bodyOf((await arrived("py1@y.example"))[0]!), BYTES);
    await arrived("py2@y.example");
  });

  test("nodemailer", async () => {
    const transport = nodemailer.createTransport({
      host: "127.0.0.1",
      port: running.port,
      secure: false,
      ignoreTLS: true,
    });
    await transport.sendMail({
      envelope: { from: "a@x.example", to: "nm@y.example" },
      raw: Buffer.from(`Subject: nm\r\n\r\n${BODY.replaceAll("\n", "\r\n")}`),
    });
    transport.close();
    assert.equal(bodyOf((await arrived("nm@y.example"))[0]!), BYTES);
  });

  test("Postfix's smtp-source", async () => {
    run("smtp-source", [
      "-s",
      "10",
      "-m",
      "200",
      "-l",
      "5000",
      "-f",
      "a@x.example",
      "-t",
      "src@y.example",
      `127.0.0.1:${running.port}`,
    ]);
    assert.equal((await arrived("src@y.example", 200)).length, 200);
  });

  test("msmtp", async () => {
    run(
      "msmtp",
      ["--host=127.0.0.1", `--port=${running.port}`, "--from=a@x.example", "--tls=off", "msmtp@y.example"],
      `Subject: m\n\n${BODY}`,
    );
    assert.equal(bodyOf((await arrived("msmtp@y.example"))[0]!), BYTES);
  });

  test("s-nail", async () => {
    const words = ["-:/", "-Sv15-compat", `-Smta=smtp://127.0.0.1:${running.port}`, "-Ssmtp-auth=none"];
    const env = { ...process.env, MAILRC: "/dev/null", LC_ALL: "C.UTF-8" };
    const all = [...words, "-r", "a@x.example", "-s", "nail", "nail@y.example"];
    const done = spawnSync("s-nail", all, { input: "plain text\n", env, timeout: 30_000 });
    assert.equal(done.status, 0, `${done.stdout}${done.stderr}`);
    assert.equal(bodyOf((await arrived("nail@y.example"))[0]!), "plain text\n");
  });
});

/** Sends one message through an instance with that next hop. */
async function through(main: string, master: string, check: (running: Running) => Promise<void>): Promise<void> {
  const instance = await startPostrider({ main, master });
  try {
    const client = await (await SmtpClient.connect(instance.port)).greeted();
    const content = `Subject: through\r\nMessage-ID: <through@x.example>\r\n\r\n${BYTES.replaceAll("\n", "\r\n")}`;
    assert.match(await client.send("a@x.example", ["user@box.example"], content), /^250/);
    client.close();
    await check(instance);
  } finally {
    await instance.remove();
  }
}

const sentLine = (instance: Running): Promise<void> =>
  until(() => instance.log.includes("status=sent"), 15_000, () => instance.log.slice(-1500));

describe("servers take mail", () => {
  test("Postfix's smtp-sink", async () => {
    const port = await freePort();
    const dump = `${folder}/dump`;
    mkdirSync(dump);
    const program = spawn("smtp-sink", ["-u", "root", "-d", `${dump}/%Y`, `127.0.0.1:${port}`, "10"], {
      stdio: "ignore",
    });
    try {
      await through(`relayhost = [127.0.0.1]:${port}`, "", async (instance) => {
        await sentLine(instance);
        await until(() => readdirSync(dump).length > 0, 5_000, () => "no dump");
        const text = readFileSync(`${dump}/${readdirSync(dump)[0]}`, "latin1");
        assert.ok(text.includes(BYTES.split("\n")[3]!));
      });
    } finally {
      program.kill();
    }
  });

  test("Debian's Postfix", async () => {
    const port = await freePort();
    const root = `${folder}/postfix`;
    for (const name of ["etc", "spool", "lib", "mail"]) mkdirSync(`${root}/${name}`, { recursive: true });
    execFileSync("chmod", ["755", folder, root]);
    execFileSync("chown", ["postfix", `${root}/lib`]);
    execFileSync("chown", ["nobody:nogroup", `${root}/mail`]);
    writeFileSync(
      `${root}/etc/main.cf`,
      `compatibility_level = 3.6
queue_directory = ${root}/spool
data_directory = ${root}/lib
maillog_file = ${root}/mail.log
maillog_file_prefixes = ${root}
myhostname = next.test.example
mydestination =
alias_maps =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = box.example
virtual_mailbox_base = ${root}/mail
virtual_mailbox_maps = static:user/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
`,
    );
    const rows = [
      `127.0.0.1:${port} inet n - n - - smtpd`,
      "cleanup unix n - n - 0 cleanup",
      "qmgr unix n - n 300 1 qmgr",
    ];
    const services = [
      "rewrite trivial-rewrite",
      "bounce bounce",
      "defer bounce",
      "trace bounce",
      "virtual virtual",
      "anvil anvil",
      "proxymap proxymap",
    ];
    writeFileSync(
      `${root}/etc/master.cf`,
      [...rows, ...services.map((row) => `${row.split(" ")[0]} unix - n n - - ${row.split(" ")[1]}`), ""].join("\n") +
        "postlog unix-dgram n - n - 1 postlogd\n",
    );
    execFileSync("postfix", ["-c", `${root}/etc`, "start"], { stdio: "ignore" });
    try {
      await through(`relayhost = [127.0.0.1]:${port}`, "", async (instance) => {
        await sentLine(instance);
        const box = `${root}/mail/user/new`;
        await until(
          () => existsSync(box) && readdirSync(box).length === 1,
          10_000,
          () => readFileSync(`${root}/mail.log`, "utf8"),
        );
        const text = readFileSync(`${box}/${readdirSync(box)[0]}`, "latin1");
        assert.equal(text.slice(text.indexOf("\n\n") + 2), BYTES);
      });
    } finally {
      execFileSync("postfix", ["-c", `${root}/etc`, "stop"], { stdio: "ignore" });
    }
  });

  test("Dovecot's LMTP socket", async () => {
    const root = `${folder}/dovecot`;
    mkdirSync(`${root}/mail/user`, { recursive: true });
    execFileSync("chmod", ["755", folder, root]);
    execFileSync("chown", ["-R", "nobody:nogroup", `${root}/mail`]);
    writeFileSync(
      `${root}/dovecot.conf`,
      `base_dir = ${root}/run
log_path = ${root}/dovecot.log
protocols = lmtp
ssl = no
listen = 127.0.0.1
mail_location = maildir:${root}/mail/%n
first_valid_uid = 1
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=${root}/mail/%n allow_all_users=yes
}
passdb {
  driver = static
  args = nopassword=y
}
service lmtp {
  unix_listener ${root}/lmtp {
    mode = 0666
  }
}
service stats {
  chroot =
}
`,
    );
    const program = spawn("dovecot", ["-F", "-c", `${root}/dovecot.conf`], { stdio: "ignore" });
    try {
      await until(() => existsSync(`${root}/lmtp`), 10_000, () => "no LMTP socket");
      await through(
        `virtual_mailbox_domains = box.example\nvirtual_transport = lmtp:unix:${root}/lmtp`,
        "",
        async (instance) => {
          await sentLine(instance);
          const box = `${root}/mail/user/new`;
          const text = readFileSync(`${box}/${readdirSync(box)[0]}`, "latin1");
          assert.equal(text.slice(text.indexOf("\n\n") + 2), BYTES);
          assert.match(instance.log, /postfix\/lmtp\[\d+\]: .* relay=\S+\[.*lmtp\], .*status=sent/);
        },
      );
    } finally {
      program.kill();
    }
  });
});

test("pflogsumm reads our log and counts right", async () => {
  await arrived("src@y.example", 200);
  const text = execFileSync("pflogsumm", [`${running.folder}/mail.log`], { encoding: "utf8" });
  const count = (name: string): number => Number(new RegExp(`^\\s*(\\d+)\\s+${name}`, "m").exec(text)?.[1]);
  const queued = running.log.match(/ status=sent /g)!.length;
  assert.equal(count("delivered"), queued);
  assert.equal(count("received"), running.log.match(/: client=/g)!.length);
  assert.equal(count("rejected"), 0);
});
