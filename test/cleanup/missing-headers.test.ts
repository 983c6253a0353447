import assert from "node:assert/strict";
import { test } from "node:test";
import { missingHeaders } from "../../src/cleanup/missing-headers.ts";

const CLOCK = { zoneMinutes: () => 0, zoneName: () => "UTC" };
const CONFIG = { myhostname: "mx.example", undisclosed_recipients_header: "To: nobody:;" };

const ROWS: readonly (readonly [readonly string[], string, string, string])[] = [
  [["message-id", "date", "from", "to"], "s@x.example", "", ""],
  [["message-id", "date", "to"], "s@x.example", "A B", "From: A B <s@x.example>\r\n"],
  [["message-id", "date", "to"], "s@x.example", 'A "B', 'From: "A \\"B" <s@x.example>\r\n'],
  [["message-id", "date", "cc"], "", "", "From: MAILER-DAEMON\r\n"],
  [["message-id", "date", "from"], "s@x.example", "", "To: nobody:;\r\n"],
  [["resent-to", "resent-from", "resent-message-id"], "", "", "Resent-Date: Thu,  1 Jan 1970 00:00:00 +0000 (UTC)\r\n"],
  [["date", "from", "to"], "", "", "Message-Id: <19700101000000.Q@mx.example>\r\n"],
];

for (const [names, sender, fullName, expected] of ROWS) {
  test(`${names.join()} from <${sender}> ${fullName}`, () => {
    const facts = { id: "Q", sender, arrived: 0, fullName };
    assert.equal(missingHeaders({ names: new Set(names) }, facts, CONFIG, CLOCK).text, expected);
  });
}
