import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import nodemailer from "nodemailer";
import { freePort, scriptCommand, until } from "../postrider.ts";

describe("npm start", () => {
  const folder = mkdtempSync(join(tmpdir(), "postrider-demo-"));
  let port = 0;
  let output = "";
  let child: ChildProcess;
  before(async () => {
    port = await freePort();
    const { command, arguments: words } = scriptCommand("bin/demo.ts");
    const env = { ...process.env, POSTRIDER_DEMO_PORT: String(port), POSTRIDER_DEMO_DIR: folder };
    child = spawn(command, words, { env, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => output += text);
    }
    await until(() => output.includes("Ctrl-C stops") || child.exitCode !== null, 20_000, () => output);
    assert.equal(child.exitCode, null, output);
  });
  after(() => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });

  it("tells where it listens, how to send, and where the mail lands", () => {
    assert.match(output, new RegExp(`Postrider listens on 127\\.0\\.0\\.1:${port}\\.`));
    assert.ok(output.includes(`swaks --server 127.0.0.1:${port} --from me@example.com --to demo@localhost`));
    assert.ok(output.includes(`smtplib.SMTP("127.0.0.1", ${port})`));
    assert.ok(output.includes(`${folder}/mail/localhost/demo/`));
    assert.ok(output.includes(`${folder}/etc/main.cf`));
  });
  it("delivers to the mailbox of demo@localhost", async () => {
    const transport = nodemailer.createTransport({ host: "127.0.0.1", port, ignoreTLS: true });
    await transport.sendMail({
      from: "me@example.com",
      to: "demo@localhost",
      subject: "hello demo",
      text: "It works.",
    });
    transport.close();
    const letters = join(folder, "mail/localhost/demo/new");
    const names = (): string[] => {
      try {
        return readdirSync(letters);
      } catch {
        return [];
      }
    };
    await until(() => names().length > 0, 10_000, () => output);
    const text = readFileSync(join(letters, names()[0]!), "latin1");
    assert.match(text, /^Return-Path: <me@example\.com>\n/);
    assert.match(text, /^Subject: hello demo\n/m);
    assert.match(text, /\nIt works\.\n$/);
  });
  it("stops on Ctrl-C", async () => {
    const exited = new Promise<number | null>((resolve) => child.on("exit", resolve));
    process.kill(child.pid!, "SIGINT");
    assert.equal(await exited, 0, output);
  });
});
