/**
 * The package as npm would ship it, installed in a folder of its own: the program has nothing but its own files there,
 * the library finds its dependencies.
 */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { freePort, Running, scriptCommand, until } from "../postrider.ts";
import { Sink } from "../sink.ts";
import { SmtpClient } from "../smtp-client.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const RUNTIMES = ["node", "bun", "deno"];

/** Makes the package and unpacks it; the folder that npm would have made. */
function installed(folder: string): string {
  mkdirSync(`${folder}/project`);
  for (const name of ["package.json", "README.md", "LICENSE"]) cpSync(`${ROOT}/${name}`, `${folder}/project/${name}`);
  execFileSync(join(ROOT, "node_modules/.bin/bun"), [`${ROOT}/bin/build.ts`, `${folder}/project/dist`]);
  const pack = ["pack", "--ignore-scripts", "--silent", "--pack-destination", folder];
  const archive = execFileSync("npm", pack, { cwd: `${folder}/project`, encoding: "utf8" }).trim();
  execFileSync("tar", ["-xzf", `${folder}/${archive}`, "-C", folder]);
  rmSync(`${folder}/project`, { recursive: true });
  return `${folder}/package`;
}

async function send(port: number, subject: string): Promise<string> {
  const client = await (await SmtpClient.connect(port)).greeted();
  const reply = await client.send("a@a.example", ["b@b.example"], `Subject: ${subject}\r\n\r\nHello\r\n`);
  client.close();
  return reply;
}

// It starts all three runtimes itself.
describe("the package", { skip: process.versions.bun !== undefined || process.versions.deno !== undefined }, () => {
  const folder = mkdtempSync(join(tmpdir(), "postrider-package-"));
  let program = "";
  let sink: Sink;
  before(async () => {
    program = `${installed(folder)}/dist/bin/postrider.js`;
    sink = await Sink.start();
  }, { timeout: 120_000 });
  after(async () => {
    await sink.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const run = (runtime: string, script: string, ...words: string[]): { status: number | null; output: string } => {
    const { command, arguments: before } = scriptCommand(script, runtime);
    const { status, stdout, stderr } = spawnSync(command, [...before, ...words], { cwd: "/", encoding: "utf8" });
    return { status, output: stdout + stderr };
  };

  for (const runtime of RUNTIMES) {
    it(`runs on ${runtime}: takes a message and delivers it, and refuses one by a pattern`, async () => {
      const main = `relayhost = [127.0.0.1]:${sink.port}\nheader_checks = regexp:{{/^Subject: bad/ REJECT}}`;
      const running = new Running(mkdtempSync(`${folder}/${runtime}-`), await freePort(), { main, runtime, program });
      await running.start();
      try {
        const before = sink.messages.length;
        assert.match(await send(running.port, "bad"), /^550 5\.7\.1 /);
        assert.match(await send(running.port, "good"), /^250 2\.0\.0 Ok: queued as /);
        await until(() => sink.messages.length > before, 10_000, () => running.log);
        await until(() => /status=sent .*\n.*: removed$/m.test(running.log), 10_000, () => running.log);
        const queue = run(runtime, program, "mailq", "-C", `${running.folder}/etc`);
        assert.deepEqual(queue, { status: 0, output: "Mail queue is empty\n" });
        assert.equal(await running.stop(), 0, running.errors);
        assert.equal(running.errors, "");
      } finally {
        await running.remove();
      }
    });
    it(`runs on ${runtime} by the name of a command, through a link from elsewhere`, () => {
      const bin = mkdtempSync(`${folder}/bin-`);
      for (const name of ["postconf", "postqueue"]) symlinkSync(program, `${bin}/${name}`);
      assert.deepEqual(run(runtime, `${bin}/postconf`, "-dh", "mail_name"), { status: 0, output: "Postrider\n" });
      const { status, output } = run(runtime, `${bin}/postqueue`, "-c", "/nonexistent", "-p");
      assert.deepEqual([status, /^postqueue: fatal: open \/nonexistent\/main\.cf: /.test(output)], [69, true], output);
    });
    it(`runs each command on ${runtime}`, () => {
      const { output } = run(runtime, program, "help");
      const names = [...output.matchAll(/^ +([a-z-]+) {2,}/gm)].map((match) => match[1]!);
      assert.ok(names.includes("sendmail") && names.includes("qshape"), output);
      for (const name of names.filter((name) => name !== "mailq" && !name.startsWith("start"))) {
        const answer = run(runtime, program, name, "-c", "/nonexistent", "--nonsense").output;
        assert.ok(!/Cannot find|not found in module|is not a function|^\s+at /m.test(answer), `${name}: ${answer}`);
      }
    });
    it(`is a library for programs on ${runtime}`, () => {
      const embedder = mkdtempSync(`${folder}/embedder-`);
      mkdirSync(`${embedder}/node_modules`);
      for (const name of readdirSync(`${ROOT}/node_modules`).filter((name) => !name.startsWith("."))) {
        symlinkSync(`${ROOT}/node_modules/${name}`, `${embedder}/node_modules/${name}`);
      }
      cpSync(`${folder}/package`, `${embedder}/node_modules/postrider`, { recursive: true });
      writeFileSync(`${embedder}/package.json`, `{ "dependencies": { "postrider": "*" } }`);
      writeFileSync(
        `${embedder}/main.mjs`,
        `import { createMta } from "postrider";\n` +
          `await createMta({ configDirectory: "/nonexistent" }).catch((error) => console.log(error.faults[0]));\n`,
      );
      const { output } = run(runtime, `${embedder}/main.mjs`);
      assert.equal(output, "fatal: open /nonexistent/main.cf: No such file or directory\n");
      assert.match(readFileSync(`${folder}/package/dist/src/library.d.ts`, "utf8"), /createMta/);
    });
  }
  it("has the licences of what is in the program", () => {
    const text = readFileSync(`${folder}/package/dist/bin/program/LICENSES.txt`, "utf8");
    for (const name of ["smtp-server", "nodemailer", "dns-packet", "ipaddr.js"]) {
      assert.match(text, new RegExp(`^${name}\\n`, "m"));
    }
  });
});
