/**
 * Recipients beside Debian's Postfix: which are one, and in which order and groups the next hop gets them.
 * POSTRIDER_TEST_SEED repeats a random run.
 */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { generator } from "../loss.ts";
import { type Running, startPostrider, until } from "../postrider.ts";
import { SEED } from "../seed.ts";
import { Sink } from "../sink.ts";
import { SmtpClient } from "../smtp-client.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix } from "./debian-postfix.ts";

const LOCALS = ["a", "A", "b", "c+x", "c", "C+X", '"q r"', '"a"', "0", "z.z", "_", "a-b", "ab", '"a@b"'];
const DOMAINS = ["one.example", "One.example", "two.example", "a.two.example", "z.example"];
const ROUNDS = 12;

const main = ({ port }: Sink, limit: number): string =>
  `relayhost = [127.0.0.1]:${port}
transport_maps = inline:{ { two.example = smtp:[127.0.0.1]:${port} } }
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
local_recipient_maps =
recipient_delimiter = +
smtp_destination_recipient_limit = ${limit}
`;

describe("recipients beside Debian's Postfix", { skip: !debianPostfix }, () => {
  const sinks: Sink[] = [];
  let ours: Running;
  let theirs: DebianPostfix;
  before(async () => {
    sinks.push(await Sink.start(), await Sink.start());
    theirs = await startDebianPostfix(main(sinks[0]!, 4));
    ours = await startPostrider({ main: main(sinks[1]!, 4) });
  });
  after(async () => {
    await ours?.remove();
    theirs?.stop();
    for (const sink of sinks) await sink.close();
  });

  async function send(port: number, recipients: readonly string[]): Promise<void> {
    const client = await (await SmtpClient.connect(port)).greeted();
    assert.match(await client.send("s@x.example", recipients, "Subject: x\r\n\r\nx\r\n"), /^250/);
    client.close();
  }

  it("each once, in the same order, in the same groups", async () => {
    console.log(`POSTRIDER_TEST_SEED=${SEED}`);
    const random = generator(SEED);
    const pick = (list: readonly string[]): string => list[Math.floor(random() * list.length)]!;
    let several = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const recipients = Array.from(
        { length: 1 + Math.floor(random() * 14) },
        () => `${pick(LOCALS)}@${pick(DOMAINS)}`,
      );
      for (const sink of sinks) sink.messages.length = 0;
      await send(theirs.port, recipients);
      await send(ours.port, recipients);
      const groups = (): string[][] => sinks.map((sink) => sink.messages.map((one) => one.recipients.join(" ")).sort());
      const removed = (log: string): number => log.split(": removed").length - 1;
      const over = (): boolean => removed(theirs.log()) > round && removed(ours.log) > round;
      await until(over, 10_000, () => theirs.log() + ours.log);
      const [other, mine] = groups();
      assert.deepEqual(mine, other, `seed ${SEED}: ${recipients.join(" ")}`);
      several += other!.length > 1 ? 1 : 0;
    }
    assert.ok(several > ROUNDS / 3, `${several} of them in several groups`);
  });
});
