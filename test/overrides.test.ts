/**
 * master.cf's -o settings of the services inside the mail system: each reads its own line, as in Postfix.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { startPostrider, until } from "./postrider.ts";
import { Sink } from "./sink.ts";
import { submit } from "./system/debian-postfix.ts";

const MASTER = `qmgr unix n - n 300 1 qmgr -o maximal_queue_lifetime=0
cleanup unix n - n - 0 cleanup -o always_bcc=copy@x.example
bounce unix - - n - 0 bounce -o myhostname=bounce.example
trace unix - - n - 0 bounce -o myhostname=trace.example
smtp unix - - n - - smtp -o delay_logging_resolution_limit=6
anvil unix - - n - 1 anvil -o anvil_status_update_time=1s
soft unix - - n - - smtp -o soft_bounce=yes
`;

test("qmgr, cleanup, bounce, trace, anvil and each agent have settings of their own", async () => {
  const sink = await Sink.start({
    // Without DSN it is for us to tell of a delivery.
    keywords: ["PIPELINING", "8BITMIME"],
    answer: (line) => line.startsWith("RCPT TO:<bad") ? "550 5.1.1 nobody" : null,
  });
  const running = await startPostrider({
    main: `relayhost = [127.0.0.1]:${sink.port}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_event_limit_exceptions =
transport_maps = inline:{{soft.example=soft:[127.0.0.1]:${sink.port}}}
`,
    master: MASTER,
  });
  const { port } = running;
  const content = "Subject: x\r\n\r\nx\r\n";
  const arrived = (who: string): string | undefined =>
    sink.messages.find(({ recipients }) => recipients.includes(who))?.content;
  try {
    await submit(port, { sender: "s@a.example", recipients: ["bad@b.example"], content });
    await until(() => arrived("s@a.example") !== undefined, 10_000, () => running.log);
    assert.match(arrived("s@a.example")!, /This is the mail system at host bounce\.example\./);
    assert.ok(arrived("copy@x.example") !== undefined, "always_bcc of cleanup's line");
    assert.match(running.log, /to=<bad@b\.example>.*delays=\S*0\.0\d\d?[/,].*status=bounced/);

    sink.messages.splice(0);
    await submit(port, { sender: "s@a.example", recipients: ["good@b.example NOTIFY=SUCCESS"], content });
    await until(() => arrived("s@a.example") !== undefined, 10_000, () => running.log);
    assert.match(arrived("s@a.example")!, /This is the mail system at host trace\.example\./);

    sink.messages.splice(0);
    await submit(port, { sender: "s@a.example", recipients: ["bad@soft.example"], content });
    await until(() => arrived("s@a.example") !== undefined, 10_000, () => running.log);
    assert.match(running.log, /to=<bad@soft\.example>.*status=SOFTBOUNCE/);
    assert.match(running.log, /from=<s@a\.example>, status=expired, returned to sender/, "qmgr's line");
    await until(() => /postfix\/anvil\[\d+\]: statistics: /.test(running.log), 10_000, () => running.log);
  } finally {
    await running.remove();
    await sink.close();
  }
});
