/** Connections of one client beyond smtpd_client_connection_count_limit and smtpd_client_connection_rate_limit. */

import assert from "node:assert/strict";
import { it } from "node:test";
import { startPostrider, until } from "./postrider.ts";
import { SmtpClient } from "./smtp-client.ts";

it("answers 421 to connections beyond the limits, and says so in the log", async () => {
  const running = await startPostrider({
    main: "smtpd_client_event_limit_exceptions =\nsmtpd_client_connection_count_limit = 3\n" +
      "smtpd_client_connection_rate_limit = 9",
  });
  try {
    const refused = "421 4.7.0 mx.test.example Error: too many connections from 127.0.0.1";
    const replies: string[] = [];
    const clients: SmtpClient[] = [];
    const connect = async (): Promise<void> => {
      clients.push(await SmtpClient.connect(running.port));
      replies.push(await clients.at(-1)!.reply());
    };
    const gone = (count: number) => (): boolean => running.log.split("disconnect from").length > count;
    // The start itself looked whether the server answers.
    await until(gone(1), 5_000, () => running.log);
    for (let at = 0; at < 4; at++) await connect();
    assert.deepEqual(replies.map((text) => text.slice(0, 3)), ["220", "220", "220", "421"]);
    assert.equal(replies[3], refused);
    clients.forEach((client) => client.close());
    await until(gone(5), 5_000, () => running.log);
    for (let at = 0; at < 5; at++) {
      await connect();
      clients.at(-1)!.close();
      await until(gone(6 + at), 5_000, () => running.log);
    }
    assert.deepEqual(replies.slice(4).map((text) => text.slice(0, 3)), ["220", "220", "220", "220", "421"]);
    const service = `for service 127.0.0.1:${running.port}`;
    assert.match(running.log, new RegExp(`Connection concurrency limit exceeded: 4 from \\S+ ${service}`));
    assert.match(running.log, new RegExp(`Connection rate limit exceeded: 10 from \\S+ ${service}`));
  } finally {
    await running.remove();
  }
});
