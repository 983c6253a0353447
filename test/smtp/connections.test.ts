import assert from "node:assert/strict";
import { test } from "node:test";
import { currentRuntime } from "../../runtimes/select.ts";
import type { Session } from "../../src/smtp/client.ts";
import { Connections } from "../../src/smtp/connections.ts";
import type { SmtpParameters } from "../../src/smtp/parameters.ts";

const PARAMETERS = {
  smtp_connection_cache_on_demand: true,
  smtp_connection_cache_destinations: [] as readonly string[],
  smtp_connection_reuse_count_limit: 0,
  smtp_connection_cache_time_limit: 2_000,
  smtp_connection_reuse_time_limit: 300_000,
} as SmtpParameters;

function session(): { session: Session; quits: () => number } {
  let quits = 0;
  const fake = { usable: true, uses: 1, openedAt: Infinity, whenLost: null, rest: () => {}, quit: () => void quits++ };
  return { session: fake as unknown as Session, quits: () => quits };
}

test("a session that two deliveries put back is kept once: two others never share it", async () => {
  const connections = new Connections(PARAMETERS, (await currentRuntime()).clock);
  const one = session();
  connections.put("host", one.session);
  connections.put("host", one.session);
  assert.equal(connections.take("host"), one.session);
  assert.equal(connections.take("host"), null);
  connections.put("host", one.session);
  assert.equal(connections.take("host"), one.session);
  assert.equal(one.quits(), 0);
});
