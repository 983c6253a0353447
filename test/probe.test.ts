import assert from "node:assert/strict";
import { test } from "node:test";
import { isProbeSender, probeSender } from "../src/probe.ts";

const config = (sender: string, life = 0) => ({
  address_verify_sender: sender,
  address_verify_sender_ttl: life,
  myorigin: "home.example",
});
const NOW = 1_795_397_948_000;
const HOUR = 3_600_000;

test("probes come from address_verify_sender", () => {
  const rows: readonly (readonly [string, string])[] = [
    ["double-bounce", "double-bounce@home.example"],
    ["probe@other.example", "probe@other.example"],
    ["", ""],
    ["<>", ""],
  ];
  for (const [sender, expected] of rows) assert.equal(probeSender(config(sender), NOW), expected);
});

test("with a time-to-live the time slot follows the local part", () => {
  assert.equal(probeSender(config("double-bounce", HOUR), NOW), "double-bounceJQYS@home.example");
  assert.equal(probeSender(config("a@b.example", HOUR), 0), "a0@b.example");
});

test("a probe's sender is known in its own time slot and the slots beside it", () => {
  const known = (address: string, at: number): boolean => isProbeSender(address, config("double-bounce", HOUR), at);
  const sender = probeSender(config("double-bounce", HOUR), NOW);
  const rows: readonly (readonly [number, boolean])[] = [[-2, false], [-1, true], [0, true], [1, true], [2, false]];
  for (const [hours, expected] of rows) assert.equal(known(sender, NOW + hours * HOUR), expected, `${hours} hours`);
  assert.ok(known(sender.toLowerCase(), NOW));
  assert.ok(!known("double-bounce@home.example", NOW));
});

test("nobody is the null sender of probes", () => {
  assert.ok(!isProbeSender("", config("<>"), NOW));
  assert.ok(isProbeSender("Double-Bounce@HOME.example", config("double-bounce"), NOW));
});
