import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Postmaster } from "../../src/bounce/postmaster.ts";
import { loadConfig } from "../../src/config/config.ts";
import { configured } from "../config/fake-runtime.ts";

const postmaster = (main: string): Postmaster =>
  new Postmaster(
    loadConfig(configured(`myhostname = mx.example.com\nmyorigin = example.com\n${main}\n`).runtime, "/etc/postfix")
      .main,
  );

describe("the postmaster", () => {
  /** notify_classes; who is told of bounces, double bounces, delays. */
  const ROWS: readonly (readonly [string, boolean, boolean, boolean])[] = [
    ["resource, software", false, false, false],
    ["bounce", true, true, false],
    ["2bounce", false, true, false],
    ["delay", false, false, true],
    ["bounce, delay", true, true, true],
  ];
  for (const [classes, bounce, double, delay] of ROWS) {
    it(`is told what notify_classes = ${classes} says`, () => {
      const all = postmaster(`notify_classes = ${classes}`);
      assert.deepEqual([all.ofBounce(), all.ofDoubleBounce(), all.ofDelay()].map((to) => to !== null), [
        bounce,
        double,
        delay,
      ]);
    });
  }

  it("has an address for each, completed with myorigin", () => {
    const all = postmaster(
      "notify_classes = bounce, delay\n2bounce_notice_recipient = root\ndelay_notice_recipient = d@x.example",
    );
    assert.deepEqual([all.ofBounce()!.address, all.ofBounce()!.original], ["postmaster@example.com", "postmaster"]);
    assert.equal(all.ofDoubleBounce()!.address, "root@example.com");
    assert.deepEqual([all.ofDelay()!.address, all.ofDelay()!.original], ["d@x.example", ""]);
  });

  it("gets mail from double_bounce_sender at myhostname", () => {
    const all = postmaster("");
    assert.equal(all.sender, "double-bounce@mx.example.com");
    assert.ok(all.isDoubleBounce("Double-Bounce@MX.example.com"));
    assert.ok(!all.isDoubleBounce("double-bounce@other.example"));
    assert.ok(!all.isDoubleBounce(""));
  });
});
