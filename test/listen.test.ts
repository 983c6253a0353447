import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { loadConfig, type Service } from "../src/config/config.ts";
import { ConfigError } from "../src/errors.ts";
import { listenAddresses, portNumber } from "../src/listen.ts";
import { fakeRuntime } from "./config/fake-runtime.ts";

const SERVICES = "smtp 25/tcp mail\nsmtp 26/udp\nfunny 4711/tcp # comment\n";

function listed(name: string, main = ""): string[] {
  const { runtime } = fakeRuntime({
    "/etc/postfix/main.cf": main,
    "/etc/postfix/master.cf": `${name} inet n - n - - smtpd\n`,
    "/etc/services": SERVICES,
  });
  const loaded = loadConfig(runtime, "/etc/postfix");
  return listenAddresses(loaded.services[0] as Service, loaded.main, runtime).map(({ host, port }) =>
    `${host} ${port}`
  );
}

describe("where a service listens", () => {
  const rows: readonly (readonly [string, string, readonly string[]])[] = [
    ["smtp", "inet_interfaces = all\ninet_protocols = all", [":: 25"]],
    ["smtp", "inet_interfaces = all\ninet_protocols = ipv4", ["0.0.0.0 25"]],
    ["2525", "inet_interfaces = loopback-only\ninet_protocols = all", ["127.0.0.1 2525", "::1 2525"]],
    ["2525", "inet_interfaces = 192.0.2.2, [fd00::2]\ninet_protocols = all", ["192.0.2.2 2525", "fd00::2 2525"]],
    ["2525", "inet_interfaces = 192.0.2.2, [fd00::2]\ninet_protocols = ipv4", ["192.0.2.2 2525"]],
    ["127.0.0.1:mail", "", ["127.0.0.1 25"]],
    ["[::1]:funny", "", ["::1 4711"]],
    ["localhost:10025", "", ["127.0.0.1 10025"]],
  ];
  for (const [name, main, expected] of rows) {
    test(`${name} ${main.replaceAll("\n", "; ")}`, () => assert.deepEqual(listed(name, main), expected));
  }

  test("a port that nobody knows", () => {
    assert.throws(() => listed("nonsense"), (caught) => {
      assert.ok(caught instanceof ConfigError);
      assert.deepEqual(caught.faults, ["fatal: nonsense:inet: unknown port"]);
      return true;
    });
  });
});

test("port names without /etc/services", () => {
  const { runtime } = fakeRuntime({});
  assert.deepEqual(["smtp", "submission", "99999", "x", "24"].map((name) => portNumber(name, runtime)), [
    25,
    587,
    null,
    null,
    24,
  ]);
});
