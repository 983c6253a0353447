/** 8-bit content to a server without 8BITMIME; what is wanted is what Debian's Postfix 3.7.11 sent. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { latin1Decode, latin1Encode } from "../../src/latin1.ts";
import { downgraded } from "../../src/smtp/downgrade.ts";
import { smtpParameters } from "../../src/smtp/parameters.ts";
import { contentOf, desk, never, request } from "./delivering.ts";
import { scriptedServer } from "./scripted-server.ts";

const lines = (...all: readonly string[]): string => all.map((line) => `${line}\r\n`).join("");
const PARAMETERS = smtpParameters({}, "smtp");

async function converted(text: string, size: number): Promise<string> {
  const bytes = latin1Encode(text);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.slice(at, at + size));
  let out = "";
  for await (const chunk of downgraded(chunks, PARAMETERS)) out += latin1Decode(chunk);
  return out;
}

const EIGHT = "Content-Transfer-Encoding: 8bit";
const QUOTED = "Content-Transfer-Encoding: quoted-printable";
const SEVEN = "Content-Transfer-Encoding: 7bit";
const E9 = "\xe9";

const ROWS: readonly (readonly [string, string, string])[] = [
  [
    "text",
    lines(EIGHT, "Subject: x", "", `Gr${E9} = ok`, "space ", "tab\t", ".dot", "x".repeat(200) + E9, E9.repeat(40), "") +
    "last",
    lines(
      "Subject: x",
      QUOTED,
      "",
      "Gr=E9 =3D ok",
      "space=20",
      "tab=09",
      ".dot",
      `${"x".repeat(73)}=`,
      `${"x".repeat(73)}=`,
      `${"x".repeat(54)}=E9`,
      `${"=E9".repeat(25)}=`,
      "=E9".repeat(15),
      "",
    ) + "last",
  ],
  ["white space at the very end", lines(EIGHT, "") + `${E9} `, lines(QUOTED, "", "=E9=20")],
  ["text that no header speaks of", lines("Subject: x", "", `Gr${E9}`), lines("Subject: x", "", `Gr${E9}`)],
  [
    "parts",
    lines(
      ...['Content-Type: multipart/mixed; boundary="=_b"', EIGHT, "", `pre${E9}`, "--=_b"],
      ...["Content-Type: text/plain", EIGHT, "", `h${E9}llo=`, "--=_b"],
      ...["Content-Transfer-Encoding: base64", "", "AAAA==", "--=_b", "", "plain = seven", "--=_b"],
      ...["Content-Type: message/rfc822", EIGHT, "", "Subject: inner", EIGHT, "", `in ${E9}`, "--=_b--", `epi${E9}`],
    ),
    lines(
      ...['Content-Type: multipart/mixed; boundary="=_b"', SEVEN, "", `pre${E9}`, "--=_b"],
      ...["Content-Type: text/plain", QUOTED, "", "h=E9llo=3D", "--=_b"],
      ...["Content-Transfer-Encoding: base64", "", "AAAA==", "--=_b", "", "plain = seven", "--=_b"],
      ...["Content-Type: message/rfc822", SEVEN, "", "Subject: inner", QUOTED, "", "in =E9", "--=_b--", `epi${E9}`],
    ),
  ],
  [
    "parts of a notice about SMTPUTF8 mail",
    lines(
      ...["Content-Type: multipart/report; boundary=b", EIGHT, "", "--b"],
      ...["Content-Type: message/global-delivery-status", EIGHT, "", `Final-Recipient: utf-8; ${E9}=`, "--b"],
      ...["Content-Type: message/global", EIGHT, "", "X-A: a=b", "Content-Type: multipart/mixed; boundary=c", ""],
      ...["--c", "X: =", "", `${E9}=`, "--c--", "--b", "Content-Type: message/global", "", "X-A: a=b", "", "--b--"],
    ),
    lines(
      ...["Content-Type: multipart/report; boundary=b", SEVEN, "", "--b"],
      ...["Content-Type: message/global-delivery-status", QUOTED, "", "Final-Recipient: utf-8; =E9=3D", "--b"],
      ...["Content-Type: message/global", QUOTED, "", "X-A: a=3Db", "Content-Type: multipart/mixed; boundary=3Dc", ""],
      ...["--c", "X: =3D", "", "=E9=3D", "--c--", "--b", "Content-Type: message/global", "", "X-A: a=b", "", "--b--"],
    ),
  ],
  [
    "binary",
    lines("Content-Transfer-Encoding: binary", "Content-Type: a/b", "", "\x01\x02=\xff", "  "),
    lines("Content-Type: a/b", QUOTED, "", "=01=02=3D=FF", " =20"),
  ],
];

describe("8-bit content in 7 bits", () => {
  for (const [name, given, wanted] of ROWS) {
    it(name, async () => {
      for (const size of [1, 7, 64, 100_000]) assert.equal(await converted(given, size), wanted);
    });
  }

  it("is what a server without 8BITMIME gets, and no other", async () => {
    const text = lines(EIGHT, "", `Gr${E9}`);
    for (
      const [features, config, wanted] of [
        [["PIPELINING"], {}, lines(QUOTED, "", "Gr=E9")],
        [["PIPELINING", "8BITMIME"], {}, text],
        [["PIPELINING"], { disable_mime_output_conversion: true }, text],
      ] as const
    ) {
      const server = await scriptedServer({ features });
      const { agent, close } = desk(config, contentOf(text));
      const asked = request(`[127.0.0.1]:${server.port}`);
      await agent.deliver({ ...asked, envelope: { ...asked.envelope, encoding: "8bit" } }, never, () => null);
      await close();
      await server.close();
      assert.equal(server.sessions[0]?.contents[0], wanted);
    }
  });
});
