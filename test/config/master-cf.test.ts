import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseMasterCf } from "../../src/config/master-cf.ts";

function only(text: string) {
  const read = parseMasterCf(text, "M");
  assert.deepEqual(read.faults, []);
  assert.equal(read.services.length, 1);
  return read.services[0]!;
}

describe("master.cf", () => {
  it("reads the eight columns", () => {
    const service = only("127.0.0.1:smtp inet n - y 60? 5 smtpd -v\n");
    assert.equal(service.name, "127.0.0.1:smtp");
    assert.equal(service.type, "inet");
    assert.equal(service.private, false);
    assert.equal(service.unprivileged, true);
    assert.equal(service.chroot, true);
    assert.equal(service.wakeup, 60_000);
    assert.equal(service.wakeupWhenUsed, true);
    assert.equal(service.maxproc, 5);
    assert.equal(service.command, "smtpd");
    assert.equal(service.verbose, true);
  });
  it("has the defaults of master(5)", () => {
    const service = only("x unix - - - - - local");
    assert.deepEqual(
      [service.private, service.unprivileged, service.chroot, service.wakeup, service.maxproc],
      [true, true, false, 0, null],
    );
  });
  it("reads -o in all its forms", () => {
    const service = only("s inet n - n - - smtpd -o a=1 -ob=2 -vo c=3\n  -o { d = x  y }\n# no\n  -o { e={z} }\n");
    assert.deepEqual([...service.overrides], [["a", "1"], ["b", "2"], ["c", "3"], ["d", "x  y"], ["e", "{z}"]]);
  });
  it("ends options at the first operand", () => {
    const service = only("m unix - n n - - pipe -o x=1\n flags=DRhu user=vmail argv=/bin/x -o y=2 { a b }");
    assert.deepEqual(service.operands, ["flags=DRhu", "user=vmail", "argv=/bin/x", "-o", "y=2", "a b"]);
    assert.deepEqual([...service.overrides.keys()], ["x"]);
  });
  it("lets the last line for a service win", () => {
    const read = parseMasterCf("a unix - - - - - x\na unix - - - - - y\na inet n - - - - z\n", "M");
    assert.deepEqual(read.services.map(({ command }) => command), ["y", "z"]);
    assert.equal(read.warnings.length, 1);
  });
  const faults: readonly (readonly [string, RegExp])[] = [
    ["smtp inet n - y - -", /^M: line 1: bad field count$/],
    ["smtp inet x - y - - smtpd", /invalid private field "x" in/],
    ["smtp inet - - y - - smtpd", /invalid private field/],
    ["smtp foo n - y - - smtpd", /invalid type field "foo"/],
    ["smtp INET n - y - - smtpd", /invalid type field "INET"/],
    ["smtp inet n x y - - smtpd", /invalid unprivileged field "x"/],
    ["smtp inet n - x - - smtpd", /invalid chroot field "x"/],
    ["smtp inet n - y -1 - smtpd", /invalid wakeup field "-1"/],
    ["smtp inet n - y - -1 smtpd", /invalid process_limit field "-1"/],
    ["smtp inet n - y - - smtpd -o { x }", /missing '=' after attribute name: "x"/],
  ];
  for (const [line, fault] of faults) {
    it(`finds the fault in: ${line}`, () => {
      const read = parseMasterCf(line, "M");
      assert.equal(read.faults.length, 1, read.faults.join());
      assert.match(read.faults[0]!, fault);
      assert.equal(read.services.length, 0);
    });
  }
  it("warns about braces", () => {
    assert.match(parseMasterCf("s unix - - - - - smtpd {a b", "M").warnings[0]!, /missing '}' in "\{a b"/);
    assert.match(
      parseMasterCf("s unix - - - - - smtpd {a b}c", "M").warnings[0]!,
      /syntax error after '}' in "\{a b}c"/,
    );
  });
});
