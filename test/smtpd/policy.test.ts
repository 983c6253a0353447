/** check_policy_service against a server of the test. */

import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { currentRuntime } from "../../runtimes/select.ts";
import { loadConfig } from "../../src/config/config.ts";
import { parsePolicyService, policyRequest } from "../../src/smtpd/policy.ts";
import { configured } from "../config/fake-runtime.ts";
import { clientFacts, FACTS, judged, shown } from "./policy.ts";

const { network } = await currentRuntime();
const config = (main = "") => loadConfig(configured(main).runtime, "/etc/postfix").main;

describe("how a service is written", () => {
  test("kinds of address", () => {
    const ROWS = [
      ["inet:127.0.0.1:9998", { host: "127.0.0.1", port: 9998 }],
      ["inet:[::1]:9998", { host: "::1", port: 9998 }],
      ["inet:9998", { host: "localhost", port: 9998 }],
      ["unix:/some/where", { path: "/some/where" }],
      ["unix:private/policy", { path: "/q/private/policy" }],
      ["local:private/policy", { path: "/q/private/policy" }],
    ] as const;
    for (const [text, address] of ROWS) {
      const parsed = parsePolicyService(text, config("queue_directory = /q"));
      assert.deepEqual("fault" in parsed ? parsed.fault : parsed.address, address);
    }
  });

  test("settings of its own", () => {
    const text = "{ inet:h:1, timeout=10s, max_idle=20s, {default_action = 450 4.1.1 later}, try_limit=1 }";
    const parsed = parsePolicyService(text, config());
    assert.ok(!("fault" in parsed));
    const { timeout, maxIdle, maxTtl, defaultAction, tryLimit, retryDelay } = parsed;
    assert.deepEqual(
      { timeout, maxIdle, maxTtl, defaultAction, tryLimit, retryDelay },
      {
        timeout: 10_000,
        maxIdle: 20_000,
        maxTtl: 1_000_000,
        defaultAction: "450 4.1.1 later",
        tryLimit: 1,
        retryDelay: 1_000,
      },
    );
  });

  test("faults", () => {
    const texts = [
      "inet:host:smtp",
      "smtp:x:1",
      "unix:",
      "{ inet:h:1",
      "{ }",
      "{ inet:h:1, nonsense=1 }",
      "{ inet:h:1, timeout = 1s }",
    ];
    for (const text of [...texts, "{ inet:h:1, timeout=soon }"]) {
      assert.ok("fault" in parsePolicyService(text, config()), text);
    }
    assert.throws(() => judged("check_policy_service inet:h"), /must be followed by transport:server/);
  });
});

test("all attributes of SMTPD_POLICY_README", () => {
  const options = parsePolicyService("inet:h:1", config("smtpd_policy_service_policy_context = here"));
  assert.ok(!("fault" in options));
  const facts = {
    ...FACTS,
    ...clientFacts({ where: "BDAT" }),
    recipients: 3,
    sender: '"a\nb"@x.example',
    queueId: "ID",
  };
  assert.deepEqual(policyRequest(facts, options, "yes").split("\n"), [
    ...["request=smtpd_access_policy", "protocol_state=DATA", "protocol_name=ESMTP", "client_address=203.0.113.9"],
    ...["client_name=c.isp.example", "client_port=4321", "reverse_client_name=c.isp.example"],
    ...["server_address=192.0.2.25", "server_port=25", "helo_name=helo.example", "sender=a?b@x.example"],
    ...["recipient=r@home.example", "recipient_count=3", "queue_id=ID", "instance=1.2.3", "size=0", "etrn_domain="],
    ...["stress=yes", "sasl_method=", "sasl_username=", "sasl_sender=", "ccert_subject=", "ccert_issuer="],
    ...["ccert_fingerprint=", "ccert_pubkey_fingerprint=", "encryption_protocol=", "encryption_cipher="],
    ...["encryption_keysize=0", "policy_context=here", "", ""],
  ]);
});

describe("a service", () => {
  let server: Server;
  let port = 0;
  let connections = 0;
  const sockets = new Set<Socket>();
  let reply: (request: string, socket: Socket) => void = () => {};

  before(async () => {
    server = createServer((socket) => {
      connections++;
      sockets.add(socket);
      let text = "";
      socket.on("error", () => {});
      socket.on("data", (chunk) => {
        text += chunk.toString();
        if (!text.endsWith("\n\n")) return;
        const request = text;
        text = "";
        reply(request, socket);
      });
    });
    port = await new Promise((done) => {
      server.listen(0, "127.0.0.1", () => done((server.address() as { port: number }).port));
    });
  });
  after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  const ask = async (settings = "", lines: string[] = []): Promise<string> => {
    const service = `check_policy_service { inet:127.0.0.1:${port}, retry_delay=0s${settings} }`;
    return shown(await judged(service, {}, { lines, network, main: "smtpd_policy_service_timeout = 2s" }));
  };

  const ROWS = [
    ["action=DUNNO\n\n", "dunno"],
    ["action=OK\n\n", "permit"],
    ["x=y\naction=reject go away\n\n", "554 5.7.1 <r@home.example>: Recipient address rejected: go away"],
    ["action=450 4.2.2 later\n\n", "450 4.2.2 <r@home.example>: Recipient address rejected: later"],
  ] as const;
  for (const [text, expected] of ROWS) {
    test(JSON.stringify(text), async () => {
      reply = (_request, socket) => void socket.write(text);
      assert.equal(await ask(), expected);
    });
  }

  test("without an answer is asked again, then the default action counts", async () => {
    let tries = 0;
    reply = (_request, socket) => {
      tries++;
      socket.destroy();
    };
    const lines: string[] = [];
    const words = "451 4.3.5 <r@home.example>: Recipient address rejected: Server configuration problem";
    assert.equal(await ask("", lines), words);
    assert.ok(tries >= 2);
    assert.match(lines.join(), /problem talking to server 127\.0\.0\.1:\d+/);
    assert.equal(await ask(", default_action=DUNNO"), "dunno");
  });

  test("that does not listen", async () => {
    const words = "check_policy_service { inet:127.0.0.1:1, retry_delay=0s, default_action=DUNNO }";
    assert.equal(await judged(words, {}, { network }), "dunno");
  });

  test("keeps its connection, to a number of requests", async () => {
    reply = (_request, socket) => void socket.write("action=DUNNO\n\n");
    const several = async (settings: string): Promise<number> => {
      connections = 0;
      const one = `check_sender_access inline:{x.example=again}`;
      const main =
        `smtpd_restriction_classes = again\nagain = check_policy_service { inet:127.0.0.1:${port}${settings} }`;
      await judged(`${one}, ${one}, ${one}, ${one}`, {}, { network, main });
      return connections;
    };
    assert.equal(await several(""), 1);
    assert.equal(await several(", request_limit=2"), 2);
  });
});
