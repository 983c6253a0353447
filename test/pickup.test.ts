import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { currentRuntime } from "../runtimes/select.ts";
import { Cleanup } from "../src/cleanup/cleanup.ts";
import { loadConfig } from "../src/config/config.ts";
import { latin1Decode, latin1Encode } from "../src/latin1.ts";
import { maildropPreface } from "../src/maildrop.ts";
import { Pickup } from "../src/pickup.ts";
import { openQueue } from "../src/queue/open.ts";
import { configured } from "./config/fake-runtime.ts";
import { testLog } from "./test-log.ts";

const runtime = await currentRuntime();
const folder = mkdtempSync(join(tmpdir(), "postrider-pickup-"));
after(() => rmSync(folder, { recursive: true, force: true }));
for (const name of ["maildrop", "corrupt"]) mkdirSync(`${folder}/${name}`);

const PREFACE = latin1Decode(maildropPreface({
  sender: "s@x.example",
  fullName: null,
  recipients: ["a@b.example", "a@b.example", "local"],
  encoding: "",
  notify: [],
  ret: "",
  envid: "",
}));

function drop(name: string, text: string, mode = 0o744): void {
  writeFileSync(`${folder}/maildrop/${name}`, latin1Encode(text));
  chmodSync(`${folder}/maildrop/${name}`, mode);
}

const names = (place: string): string[] => readdirSync(`${folder}/${place}`).sort();

test("takes complete files, leaves unfinished ones, sets aside what is none", async () => {
  const main = `queue_directory = ${folder}\nmyhostname = mx.x.example\nmyorigin = x.example\n` +
    "hopcount_limit = 5\nmessage_size_limit = 20000\n";
  const config = loadConfig(configured(main).runtime, "/etc/postfix").main;
  const { clock } = runtime;
  let lines = "";
  const log = testLog(clock, (text) => lines += text);
  const store = await openQueue("memory:", { runtime });
  const cleanup = new Cleanup({ config, store, log, clock });
  const queued: string[] = [];
  const back: string[] = [];
  const pickup = new Pickup({
    runtime,
    config,
    cleanup,
    log,
    queued: ({ entry }) => void queued.push(entry.id),
    giveBack: async ({ id, envelope, size, content }, failed) => {
      let text = "";
      for await (const piece of content!.read(id)) text += latin1Decode(piece);
      for (const { waiting, result } of failed) {
        back.push(`${waiting.recipient.address} ${result.status} ${result.reason} ${envelope.sender} ${size}`);
      }
      assert.match(text, /^Received: by mx/);
      assert.equal(text.length <= size, true);
    },
  });

  drop("good", `${PREFACE}Subject: x\n\nbody\n`);
  drop("unfinished", PREFACE, 0o644);
  drop("nonsense", "nonsense\n");
  drop("poison", 'postrider-maildrop 1\n{"recipients":7,"notify":9}\n');
  drop("looped", `${PREFACE}${"Received: from a by b\n".repeat(9)}\nbody\n`);
  drop("big", `${PREFACE}Subject: big\n\n${"0123456789\n".repeat(3000)}`);
  writeFileSync(`${folder}/secret`, `${PREFACE}secret\n`);
  symlinkSync(`${folder}/secret`, `${folder}/maildrop/link`);
  mkdirSync(`${folder}/maildrop/folder`);

  pickup.start();
  for (let tries = 0; tries < 200 && names("maildrop").length > 1; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await pickup.stop();
  log.flush();
  assert.deepEqual(names("maildrop"), ["unfinished"], lines);
  assert.deepEqual(names("corrupt"), ["folder", "link", "nonsense", "poison"]);
  assert.deepEqual(back.map((text) => text.replace(/\d+$/, "")).sort(), [
    "a@b.example 5.3.4 message file too big s@x.example ",
    "a@b.example 5.4.0 too many hops s@x.example ",
    "local@x.example 5.3.4 message file too big s@x.example ",
    "local@x.example 5.4.0 too many hops s@x.example ",
  ]);
  assert.match(lines, /warning: [A-Z0-9]+: queue file size limit exceeded/i);
  assert.match(lines, /warning: maildrop\/link: not a regular file: moved to corrupt/);
  assert.ok(existsSync(`${folder}/secret`));
  assert.equal(queued.length, 1);
  const { envelope } = store.get(queued[0]!)!;
  assert.equal(envelope.sender, "s@x.example");
  assert.deepEqual(envelope.recipients.map(({ address, original }) => [address, original]), [
    ["a@b.example", ""],
    ["local@x.example", "local"],
  ]);
  let content = "";
  for await (const piece of store.read(queued[0]!)) content += latin1Decode(piece);
  assert.match(content, /^Received: by mx\.x\.example \(.*, from userid \d+\)\r\n\tid /);
  assert.match(content, /\r\nFrom: .*\r\n/);
  assert.match(content, /\r\n\r\nbody\r\n$/);
  await store.close();
});
