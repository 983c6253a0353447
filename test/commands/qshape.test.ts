import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { ageLimits, qshape, Shape } from "../../src/commands/qshape.ts";
import { Site } from "./site.ts";

let site: Site;
beforeEach(() => site = new Site());
afterEach(() => site.remove());

const MINUTE = 60_000;

describe("qshape", () => {
  it("counts waiting recipients by domain and age", async () => {
    const now = Date.now();
    await site.fill([
      { sender: "s@x", recipients: [["a@b.example", "w"], ["c@B.example", "w"]], arrived: now - 7 * MINUTE },
      { sender: "", recipients: [["d@other.example", "w"]], arrived: now - 3000 * MINUTE },
      { sender: "s@x", recipients: [["e@b.example", ""]] },
    ]);
    assert.equal(
      (await site.run(qshape, ["deferred"])).output,
      `                                         T  5 10 20 40 80 160 320 640 1280 1280+
                                  TOTAL  3  0  2  0  0  0   0   0   0    0     1
                              b.example  2  0  2  0  0  0   0   0   0    0     0
                          other.example  1  0  0  0  0  0   0   0   0    0     1
`,
    );
    assert.match((await site.run(qshape, [])).output, /\n +b\.example {2}1 {2}1 {2}0/);
    assert.match((await site.run(qshape, ["-s", "deferred"])).output, /\n +MAILER-DAEMON {2}1 [^]*|\n +x {2}1 /);
  });
  it("takes queues by their folders and as often as they are named, and folders that hold no mail", async () => {
    await site.fill([{ sender: "s@x", recipients: [["a@b.example", "w"]] }]);
    const total = async (...words: string[]): Promise<string> =>
      / TOTAL +(\d+)/.exec((await site.run(qshape, words)).output)?.[1] ?? "";
    assert.equal(await total("deferred", "hold", `${site.root}/spool/deferred`), "2");
    assert.equal(await total("corrupt", "bounce"), "0");
  });
  it("reads numbers as Perl does", async () => {
    const heading = async (...words: string[]): Promise<string> =>
      (await site.run(qshape, words)).output.split("\n")[0]!.trim().replace(/ +/g, " ");
    const usual = "T 5 10 20 40 80 160 320 640 1280 1280+";
    for (const value of ["0", "-3", "x", ""]) {
      for (const letter of ["-b", "-t", "-w", "-m", "-n"]) assert.equal(await heading(letter, value), usual);
    }
    assert.equal(await heading("-b", "1"), "T 0+");
    assert.equal(await heading("-b", "3x", "-t", "2.5"), "T 2.5 5 5+");
    assert.equal(await heading("-b", "2", "-t", "1000000"), "T 1000000 1000000+");
  });
  it("refuses an unknown queue", async () => {
    const { status, errors } = await site.run(qshape, ["nosuch"]);
    assert.deepEqual([status, errors], [1, "qshape: fatal: no such queue: nosuch\n"]);
  });
});

describe("Shape", () => {
  it("has rows of parent domains with enough below them, but for top level ones", () => {
    const shape = new Shape(ageLimits(10, 2), 2);
    for (const name of ["a.b.c", "a.b.c", "d.b.c", "e.c", "x.y.z", "b.c"]) shape.add(name, 1);
    shape.add("a.very.long.name.of.some.domain.org", 1);
    shape.add("b.very.long.name.of.some.domain.org", 1);
    const lines = shape.text(99, 30).split("\n").map((line) => line.trim());
    assert.deepEqual(lines.slice(1, -1).sort(), [
      "+.of.some.domain.org  1  1   0",
      "+.of.some.domain.org  1  1   0",
      ".+of.some.domain.org  2  2   0",
      ".b.c  3  3   0",
      "TOTAL  8  8   0",
      "a.b.c  2  2   0",
      "b.c  1  1   0",
      "d.b.c  1  1   0",
      "e.c  1  1   0",
      "x.y.z  1  1   0",
    ]);
  });
  it("has the columns that are asked for", () => {
    const shape = new Shape(ageLimits(10, 3));
    shape.add("b.c", 100);
    assert.equal(
      shape.text(Infinity, 40),
      "                             T 10 20 20+\n                      TOTAL  1  0  0   1\n" +
        "                        b.c  1  0  0   1\n",
    );
    assert.deepEqual(ageLimits(5, 4, true), [5, 10, 15]);
  });
  it("shows the end of a name that is too long", () => {
    const shape = new Shape(ageLimits(5, 10));
    shape.add("a-very-long-name-indeed.of-a-domain.example.org", 1);
    assert.match(shape.text(Infinity, 80), /^\+ng-name-indeed\.of-a-domain\.example\.org {2}1/m);
  });
});
