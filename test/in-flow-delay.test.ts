/**
 * in_flow_delay: while mail waits for a place in the active queue, who hands in more waits before it is taken.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { startPostrider } from "./postrider.ts";
import { SILENT, Sink } from "./sink.ts";
import { SmtpClient } from "./smtp-client.ts";

test("a full active queue slows down who hands in mail", async () => {
  const sink = await Sink.start({ answer: (line) => line.startsWith("RCPT") ? SILENT : null });
  const running = await startPostrider({
    main: `relayhost = [127.0.0.1]:${sink.port}
smtpd_relay_restrictions = permit_mynetworks, reject
qmgr_message_active_limit = 1
default_process_limit = 2
in_flow_delay = 10s
`,
    master: "qmgr unix n - n 300 1 qmgr -o in_flow_delay=20s\ncleanup unix n - n - 0 cleanup -o in_flow_delay=2s\n",
  });
  try {
    const client = await (await SmtpClient.connect(running.port)).greeted();
    const times: number[] = [];
    for (let at = 0; at < 6; at++) {
      const start = performance.now();
      const reply = await client.send("s@a.example", ["r@b.example"], "Subject: x\r\n\r\nx\r\n");
      assert.match(reply, /^250/);
      times.push(performance.now() - start);
    }
    client.close();
    // One is active, the next ones have as many places as there are processes.
    assert.ok(times.slice(0, 3).every((time) => time < 1_500), String(times));
    assert.ok(times[5]! >= 1_900 && times[5]! < 9_000, `cleanup's line: ${times}`);
  } finally {
    await running.remove();
    await sink.close();
  }
});
