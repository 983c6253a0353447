/** What a site announces, beside Debian's Postfix: EHLO keywords by client; and commands without effect. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Running, startPostrider, until } from "../postrider.ts";
import { SmtpClient } from "../smtp-client.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix } from "./debian-postfix.ts";

const MAIN = `smtpd_authorized_xclient_hosts = static:all
smtpd_noop_commands = XNOOP, starttls
smtpd_discard_ehlo_keywords = etrn, smtputf8
smtpd_discard_ehlo_keyword_address_maps = inline:{
 {203.0.113.1 = dsn, pipelining, silent-discard}, {203.0.113.2 = 8bitmime size chunking etrn smtputf8},
 203.0.113.3=none, {2001:db8::1 = vrfy, enhancedstatuscodes, xclient, silent-discard}}
anvil_status_update_time = 1s
`;

const CLIENTS = ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4", "IPV6:2001:db8::1"];

describe("keywords beside Debian's Postfix", { skip: !debianPostfix }, () => {
  let ours: Running;
  let theirs: DebianPostfix;

  before(async () => {
    theirs = await startDebianPostfix(`${MAIN}inet_protocols = all\n`);
    ours = await startPostrider({ main: `${MAIN}inet_protocols = all\n` });
  });
  after(async () => {
    await ours?.remove();
    theirs?.stop();
  });

  /** SMTPUTF8 is not built; ETRN is announced where it is served. */
  const plain = (reply: string): string =>
    reply.split(/\r?\n/).filter((line) => !/SMTPUTF8|ETRN/.test(line))
      .map((line) => line.replace(/^250[ -]/, "250 ").replace(/ESMTP .*/, "ESMTP")).join("\n");

  for (const address of CLIENTS) {
    test(`EHLO and what goes with it for ${address}`, async () => {
      const lines = [
        ...[
          `XCLIENT ADDR=${address} NAME=c.example`,
          "EHLO x",
          "MAIL FROM:<a@x.example> RET=HDRS",
          "MAIL FROM:<a@x.example> ENVID=x",
          "RSET",
        ],
        ...[
          "MAIL FROM:<a@x.example>",
          "RCPT TO:<u@y.example> NOTIFY=NEVER",
          "RCPT TO:<u@y.example> ORCPT=rfc822;u@y",
          "RSET",
          "XNOOP a b",
          "STARTTLS",
        ],
      ];
      const said: string[][] = [];
      for (const port of [ours.port, theirs.port]) {
        const client = await SmtpClient.connect(port);
        await client.reply();
        const replies: string[] = [];
        for (const line of lines) replies.push(`${line} -> ${plain(await client.ask(line))}`);
        client.close();
        said.push(replies);
      }
      assert.deepEqual(said[0], said[1]);
    });
  }

  test("the log names the keywords that were kept back", async () => {
    const lines = (log: string): string[] =>
      [...log.matchAll(/: (discarding .*)$/gm)].map((match) => match[1]!.replace("EHLO_MASK_", ""));
    await until(() => lines(ours.log).length === lines(theirs.log()).length, 5_000, () => "").catch(() => {});
    assert.deepEqual(lines(ours.log), lines(theirs.log()));
  });
});
