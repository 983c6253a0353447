/**
 * Rules that were broken on purpose, each seen here: the class of a reply ignored, a queued message that forgives
 * nothing, the threshold ignored, a reason given for an orderly end.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Account } from "../../src/bounce/transcript.ts";
import type { Answer, CommandLine, Dialogue } from "../../src/smtpd/dialogue.ts";
import { Transcribed } from "../../src/smtpd/transcribed.ts";

const REPLIES: Readonly<Record<string, string>> = {
  EHLO: "250-mx\r\n250 DSN\r\n",
  RSET: "250 2.0.0 Ok\r\n",
  DATA: "354 End data\r\n",
  QUIT: "221 2.0.0 Bye\r\n",
  NOOP: "250 2.0.0 Ok\r\n",
  LAST: "421 4.7.0 mx Error: too many errors\r\n",
  HANG: "",
};

function session(later: boolean): Dialogue & { readonly peer: string } {
  const answer = (text: string, next: Answer["next"] = "command"): Answer | Promise<Answer> =>
    later ? Promise.resolve({ text, next }) : { text, next };
  return {
    peer: "a.example[192.0.2.1]",
    open: () => answer("220 mx\r\n"),
    command: ({ text }: CommandLine) => {
      const reply = REPLIES[text.slice(0, 4)] ?? "500 5.5.2 Error: command not recognized\r\n";
      return answer(
        reply,
        /^[24]21/.test(reply) || reply === "" ? "close" : reply.startsWith("354") ? "data" : "command",
      );
    },
    data: () => null,
    endOfData: () => answer("250 2.0.0 Ok: queued as 1234\r\n"),
    timeout: () => "421 4.4.2 mx Error: timeout exceeded\r\n",
    closed: () => {},
  };
}

interface Told {
  readonly lines: readonly string[];
  readonly troubles: readonly string[];
  readonly after: readonly string[];
}

/** Says the lines ("." ends content, "(silence)" is none), then the connection closes. */
async function told(lines: readonly string[], flushAfter = 100, later = false): Promise<Told[]> {
  const all: Told[] = [];
  const tell = ({ transcript, after, peer, by }: Account): Promise<void> => {
    assert.deepEqual([peer, by], ["a.example[192.0.2.1]", "SMTP server"]);
    all.push({ lines: transcript.lines(), troubles: [...transcript.troubles], after });
    return Promise.resolve();
  };
  const one = new Transcribed(session(later), { flushAfter, tell });
  await one.open();
  for (const text of lines) {
    if (text === ".") await one.endOfData({ bareNewline: false });
    else if (text === "(silence)") one.timeout();
    else await one.command({ text, bareNewline: false, behind: "" });
  }
  one.closed();
  return all;
}

const END = "For other details, see the local mail logfile";

describe("a session that is written down", () => {
  for (const later of [false, true]) {
    it(`is told with all that was said when something went wrong (${later ? "in time" : "at once"})`, async () => {
      assert.deepEqual(await told(["EHLO x", "FOO", "QUIT"], 100, later), [{
        lines: [
          "Out: 220 mx",
          "In:  EHLO x",
          "Out: 250-mx",
          "Out: 250 DSN",
          "In:  FOO",
          "Out: 500 5.5.2 Error: command not recognized",
          "In:  QUIT",
          "Out: 221 2.0.0 Bye",
        ],
        troubles: ["protocol"],
        after: ["", "", END],
      }]);
    });
  }

  it("is nobody's concern when nothing did", async () => {
    assert.deepEqual(await told(["EHLO x", "DATA", ".", "QUIT"]), []);
  });

  it("is forgiven when a message was taken after the error", async () => {
    assert.deepEqual(await told(["FOO", "DATA", ".", "QUIT"]), []);
    assert.equal((await told(["FOO", "DATA", ".", "FOO", "QUIT"])).length, 1);
  });

  const REASONS: readonly (readonly [readonly string[], string, string])[] = [
    [["FOO"], "lost connection", "Out: 500 5.5.2 Error: command not recognized"],
    [["FOO", "(silence)"], "timeout", "Out: 421 4.4.2 mx Error: timeout exceeded"],
    [["FOO", "LAST"], "too many errors", "Out: 421 4.7.0 mx Error: too many errors"],
  ];
  for (const [lines, reason, last] of REASONS) {
    it(`says why it ended: ${reason}`, async () => {
      const [one] = await told(lines);
      assert.deepEqual(one!.after, ["", `Session aborted, reason: ${reason}`, "", END]);
      assert.equal(one!.lines.at(-1), last);
      assert.ok(!one!.lines.includes("In:  LAST"));
    });
  }

  it("ends without a reason, and without a reply, by HANGUP", async () => {
    const [one] = await told(["FOO", "HANG"]);
    assert.deepEqual(one!.after, ["", "", END]);
    assert.equal(one!.lines.at(-1), "In:  HANG");
  });

  it("is told in parts where it is long: at EHLO, RSET and end of data only", async () => {
    const noise = Array<string>(4).fill("NOOP");
    assert.deepEqual((await told(["FOO", ...noise, "NOOP", "QUIT"], 8)).length, 1);
    for (const [flush, parts] of [["RSET", 2], ["EHLO y", 2], ["NOOP", 1]] as const) {
      const all = await told(["FOO", ...noise, flush, "FOO", "QUIT"], 8);
      assert.equal(all.length, parts, flush);
    }
    assert.deepEqual((await told([...noise, "FOO", "RSET", "NOOP", "QUIT"], 8)).map(({ lines }) => lines.at(-1)), [
      "In:  RSET",
    ]);
    assert.deepEqual(await told(["FOO", ...noise, "DATA", ".", "QUIT"], 8), []);
  });
});
