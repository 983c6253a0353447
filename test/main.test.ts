import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { currentRuntime } from "../runtimes/select.ts";
import { latin1Decode } from "../src/latin1.ts";
import { help, main } from "../src/main.ts";

const real = await currentRuntime();

async function run(programName: string, words: readonly string[]): Promise<readonly [number, string, string]> {
  let output = "";
  let errors = "";
  const processes = {
    ...real.processes!,
    programName,
    arguments: words,
    environment: { MAIL_CONFIG: "/nonexistent" },
    writeOutput: (bytes: Uint8Array) => void (output += latin1Decode(bytes)),
    writeError: (bytes: Uint8Array) => void (errors += latin1Decode(bytes)),
  };
  return [await main({ ...real, processes }), output, errors];
}

const MISSING = "open /nonexistent/main.cf: No such file or directory\n";

describe("main", () => {
  it("chooses the command by the program's name, else by the first argument", async () => {
    assert.deepEqual(await run("mailq", []), [75, "", `mailq: fatal: ${MISSING}`]);
    assert.deepEqual(await run("postrider", ["mailq"]), [75, "", `mailq: fatal: ${MISSING}`]);
    assert.deepEqual(await run("postrider.ts", ["postqueue", "-p"]), [69, "", `postqueue: fatal: ${MISSING}`]);
    assert.deepEqual(await run("sendmail", ["mailq"]), [75, "", `sendmail: fatal: ${MISSING}`]);
  });
  it("gives postfix its own words, with and without its name", async () => {
    for (const words of [["status"], ["postfix", "status"], ["-c", "/nonexistent", "status"]]) {
      assert.deepEqual(await run("postrider", words), [1, "", `postfix: fatal: ${MISSING}`]);
    }
  });
  it("lists the commands, one line each, without colours", async () => {
    const [status, output, errors] = await run("postrider", []);
    assert.deepEqual([status, errors], [0, ""]);
    assert.deepEqual(await run("postrider", ["--help"]), [0, output, ""]);
    for (const name of ["start", "reload", "sendmail", "mailq", "postqueue", "postsuper", "postcat", "qshape"]) {
      assert.match(output, new RegExp(`^ +${name} {2,}\\S`, "m"), name);
    }
    assert.ok(!output.includes("\x1b"));
    assert.equal(output, `${await help()}\n`);
  });
  it("refuses a word that it does not know", async () => {
    const [status, output, errors] = await run("postrider", ["toString"]);
    assert.deepEqual([status, output], [1, ""]);
    assert.match(errors, /^postrider: fatal: unknown command: 'toString'\n/);
  });
});
