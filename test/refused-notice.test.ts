/**
 * Content checks that refuse a notice of failure (internal_mail_filter_classes): its message is not delivered anew.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { startPostrider, until } from "./postrider.ts";
import { Sink } from "./sink.ts";
import { submit } from "./system/debian-postfix.ts";

test("a notice that content checks refuse is tried again alone, and its message is held in the end", async () => {
  const sink = await Sink.start({ answer: (line) => line.startsWith("RCPT") ? "550 5.1.1 nobody" : null });
  const running = await startPostrider({
    main: `relayhost = [127.0.0.1]:${sink.port}
smtpd_relay_restrictions = permit_mynetworks, reject
internal_mail_filter_classes = bounce
body_checks = pcre:{{/nobody/ REJECT no such talk}}
minimal_backoff_time = 1s
maximal_backoff_time = 1s
maximal_queue_lifetime = 4s
`,
  });
  try {
    const content = "Subject: x\r\n\r\nx\r\n";
    const reply = await submit(running.port, { sender: "s@a.example", recipients: ["r@b.example"], content });
    const id = /queued as (\w+)/.exec(reply)![1]!;
    await until(() => running.log.includes(`${id}: its time is over`), 15_000, () => running.log);
    const count = (pattern: string): number => running.log.match(new RegExp(pattern, "g"))?.length ?? 0;
    assert.equal(sink.commands.filter((line) => line.startsWith("RCPT")).length, 1);
    assert.equal(count(`${id}: to=<r@b.example>.*status=bounced`), 1);
    assert.ok(count(`${id}: status=deferred \\(bounce failed\\)`) >= 3, running.log);
    assert.ok(count(`warning: ${id}: notice refused: .*no such talk`) >= 3, running.log);
    assert.equal(sink.messages.length, 0);
  } finally {
    await running.remove();
    await sink.close();
  }
});
