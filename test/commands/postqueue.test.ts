import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { postqueue } from "../../src/commands/postqueue.ts";
import { queueLine, QueueReport } from "../../src/commands/queue-report.ts";
import { sendmail } from "../../src/commands/sendmail.ts";
import type { ListedEntry } from "../../src/queue-list.ts";
import { Site } from "./site.ts";

const DOWN = "postqueue: warning: Mail system is down -- accessing queue directly " +
  "(Connect to the Postfix showq service: No such file or directory)\n";
const USAGE =
  "postqueue: fatal: usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site\n";

let site: Site;
beforeEach(() => site = new Site());
afterEach(() => site.remove());

const REFUSED: readonly (readonly [string[], string])[] = [
  [[], USAGE],
  [["-z"], `postqueue: invalid option -- 'z'\n${USAGE}`],
  [["-p", "x"], USAGE],
  [["-pf"], USAGE],
  [["-i", "A", "-i", "B"], USAGE],
  [["-i", "a b"], 'postqueue: fatal: Cannot flush queue ID - invalid name: "a b"\n'],
  [["-i", ""], 'postqueue: fatal: Cannot flush queue ID - invalid name: ""\n'],
  [["-s", "a b"], 'postqueue: fatal: Cannot flush mail queue - invalid destination: "a b"\n'],
  [["-s", "@x"], 'postqueue: fatal: Cannot flush mail queue - invalid destination: "@x"\n'],
  [["-i", "A".repeat(256)], `postqueue: fatal: Cannot flush queue ID - invalid name: "${"A".repeat(100)}..."\n`],
  [["-i", "!".repeat(100)], `postqueue: fatal: Cannot flush queue ID - invalid name: "${"!".repeat(100)}"\n`],
  [
    ["-s", "!".repeat(101)],
    `postqueue: fatal: Cannot flush mail queue - invalid destination: "${"!".repeat(100)}..."\n`,
  ],
  [["-i", "A_B"], "postqueue: fatal: Cannot flush mail queue - mail system is down\n"],
  ...["1.2.3.4", "-x", "x-", "a..b", ".a", "a.", "a".repeat(64), "[::1]", "[a.b]", "[1.2.3]"].map((
    site,
  ): [string[], string] => [
    ["-s", site],
    `postqueue: fatal: Cannot flush mail queue - invalid destination: "${site}"\n`,
  ]),
  ...["a_b", "[1.2.3.4]", "[IPv6:::1]"].map((site): [string[], string] => [
    ["-s", site],
    "postqueue: fatal: Cannot flush mail queue - mail system is down\n",
  ]),
  [["-s", "\xe9.example"], 'postqueue: fatal: Cannot flush mail queue - invalid destination: "\xc3\xa9.example"\n'],
  [["-f"], "postqueue: fatal: Cannot flush mail queue - mail system is down\n"],
  [["-c", "nox", "-f"], "postqueue: fatal: open nox/main.cf: No such file or directory\n"],
];

describe("postqueue", () => {
  for (const [words, errors] of REFUSED) {
    it(`refuses ${JSON.stringify(words)}`, async () => {
      assert.deepEqual(await site.run(postqueue, words), { status: 69, output: "", errors });
    });
  }
  it("lists every queue of a stopped system, maildrop first", async () => {
    const reason = "connect to x[192.0.2.1]:25: Connection refused";
    const arrived = Date.UTC(2026, 10, 22, 12);
    const [one, two, three] = await site.fill([
      { sender: "s@x", recipients: [["a@b", reason], ["c@d", reason]], arrived },
      { sender: "", recipients: [["e@f", ""]], arrived, hold: true },
      { sender: "n@x", recipients: [["g@h", ""]], arrived },
    ]);
    await site.run(sendmail, ["-f", "m@x", "i@j"], { input: "x\n" });
    const { status, output, errors } = await site.run(postqueue, ["-p"]);
    assert.deepEqual([status, errors], [0, DOWN]);
    const lines = output.split("\n");
    assert.match(lines[1]!, /^[0-9a-f]{32} {4,}\d+ .* m@x$/);
    assert.equal(lines[2], `${" ".repeat(41)}i@j`);
    assert.match(lines[4]!, new RegExp(`^${three}      20 .{20} n@x$`));
    assert.match(lines[7]!, new RegExp(`^${one}      20 .{20} s@x$`));
    assert.equal(lines[8], `(${reason})`.padStart(78));
    assert.match(lines[12]!, new RegExp(`^${two}!      20 .{20} MAILER-DAEMON$`));
    assert.equal(lines.at(-2), "-- 0 Kbytes in 4 Requests.");
    const { output: json } = await site.run(postqueue, ["-j"]);
    const entries = json.trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(entries.map((entry) => entry.queue_name), ["maildrop", "incoming", "deferred", "hold"]);
    assert.deepEqual(entries[2], {
      queue_name: "deferred",
      queue_id: one,
      arrival_time: arrived / 1000,
      message_size: 20,
      forced_expire: false,
      sender: "s@x",
      recipients: [{ address: "a@b", delay_reason: reason }, { address: "c@d", delay_reason: reason }],
    });
  });
  it("keeps a stranger from opening a stopped queue", async () => {
    const { status, errors } = await site.run(postqueue, ["-p"], { uid: 54321 });
    assert.equal(status, 69);
    assert.match(errors, /^postqueue: fatal: Queue report unavailable - mail system is down \(.*\)\n$/);
  });
});

const ARRIVED = Date.UTC(2026, 10, 2, 3, 4, 5);
const entry = (change: Partial<ListedEntry>): ListedEntry => ({
  queue: "deferred",
  id: "E9FE620C250",
  arrived: ARRIVED,
  size: 263,
  expired: false,
  sender: "s@x",
  recipients: [{ address: "a@b", reason: "" }],
  ...change,
});
const report = (long: boolean, ...entries: ListedEntry[]): string => {
  const made = new QueueReport(long, () => 0);
  return entries.map((one) => made.entry(one)).join("") + made.end();
};

describe("QueueReport", () => {
  it("has Postfix's columns", () => {
    const refused = "connect to 127.0.0.1[127.0.0.1]:2597: Connection refused";
    assert.equal(
      report(
        false,
        entry({ recipients: [{ address: "a@b", reason: refused }, { address: "c@d", reason: refused }] }),
        entry({ queue: "hold", size: 7078, sender: "" }),
        entry({ queue: "active" }),
      ),
      `-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
E9FE620C250     263 Mon Nov  2 03:04:05  s@x
                    (${refused})
                                         a@b
                                         c@d

E9FE620C250!    7078 Mon Nov  2 03:04:05  MAILER-DAEMON
                                         a@b

E9FE620C250*     263 Mon Nov  2 03:04:05  s@x
                                         a@b

-- 7 Kbytes in 3 Requests.
`,
    );
  });
  it("groups recipients by reason, those with none last", () => {
    const recipients = [
      { address: "new@x", reason: "" },
      { address: "a@x", reason: "one" },
      { address: "b@x", reason: "one" },
      { address: "c@x", reason: "two" },
    ];
    const lines = report(false, entry({ recipients })).split("\n").slice(2, -3).map((line) => line.trim());
    assert.deepEqual(lines, ["(one)", "a@x", "b@x", "(two)", "c@x", "(reason unavailable)", "new@x"]);
  });
  it("has wider columns for long queue ids", () => {
    assert.equal(
      report(true, entry({ id: "4FvT9x3Lz2z4Xk" })),
      `----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------
4FvT9x3Lz2z4Xk         263 Mon Nov  2 03:04:05 s@x
                                               a@b

-- 0 Kbytes in 1 Request.
`,
    );
  });
  it("tells an empty queue", () => assert.equal(report(false), "Mail queue is empty\n"));
});

describe("queueLine", () => {
  it("has Postfix's fields in Postfix's order, spaces and all", () => {
    const recipients = [{ address: 'a"b@c\x7f', reason: "why" }, { address: "d@e", reason: "" }];
    assert.equal(
      queueLine(entry({ sender: "", recipients })),
      '{"queue_name": "deferred", "queue_id": "E9FE620C250", "arrival_time": 1793588645, "message_size": 263, ' +
        '"forced_expire": false, "sender": "MAILER-DAEMON", "recipients": [{"address": "a\\"b@c\\u007F", ' +
        '"delay_reason": "why"}, {"address": "d@e"}]}\n',
    );
  });
});
