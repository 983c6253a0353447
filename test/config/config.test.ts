import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadConfig } from "../../src/config/config.ts";
import type { Loaded, Overrides } from "../../src/config/config.ts";
import { ConfigError } from "../../src/errors.ts";
import { configured, fakeRuntime } from "./fake-runtime.ts";

function load(main: string, master = "", overrides: Overrides = {}, hostname?: string): Loaded {
  return loadConfig(configured(main, master, hostname).runtime, "/etc/postfix", overrides);
}

function faultsOf(action: () => unknown): readonly string[] {
  try {
    action();
  } catch (caught) {
    assert.ok(caught instanceof ConfigError, String(caught));
    return caught.faults;
  }
  assert.fail("no fault");
}

describe("typed values", () => {
  it("have the type that their kind says", () => {
    const { main } = load("mydestination = $myhostname, a b\nminimal_backoff_time = 2m\nsmtpd_helo_required = YES\n");
    const time: number = main.minimal_backoff_time;
    const list: readonly string[] = main.mydestination;
    const flag: boolean = main.smtpd_helo_required;
    const choice: "postfix" | "json" = main.log_format;
    assert.equal(time, 120_000);
    assert.deepEqual(list, ["mx1.example.org", "a", "b"]);
    assert.equal(flag, true);
    assert.equal(choice, "postfix");
    assert.ok(Object.isFrozen(main) && Object.isFrozen(list));
  });
  it("follow stress", () => {
    assert.equal(load("").main.smtpd_timeout, 300_000);
    assert.equal(load("stress = yes").main.smtpd_timeout, 10_000);
  });
  it("take the default unit from the default", () =>
    assert.equal(load("maximal_queue_lifetime = 1").main.maximal_queue_lifetime, 86400_000));
  it("keep raw ones unexpanded", () => assert.equal(load("").main.default_rbl_reply.startsWith("$rbl_code "), true));
});

describe("defaults that are found out", () => {
  const names = (main: string, host: string): readonly string[] => {
    const config = load(main, "", {}, host).main;
    return [config.myhostname, config.mydomain, config.myorigin];
  };
  it("myhostname and mydomain", () => {
    assert.deepEqual(names("", "mx1.example.org"), ["mx1.example.org", "example.org", "mx1.example.org"]);
    assert.deepEqual(names("", "vm"), ["vm.localdomain", "localdomain", "vm.localdomain"]);
    assert.deepEqual(names("mydomain = bar", "vm"), ["vm.bar", "bar", "vm.bar"]);
    assert.deepEqual(names("myhostname = foo", "vm"), ["foo", "localdomain", "foo"]);
    assert.deepEqual(names("myhostname = a.b.c\nmyorigin = $mydomain", "vm"), ["a.b.c", "b.c", "b.c"]);
  });
  it("mynetworks, by mynetworks_style, inet_interfaces and inet_protocols", () => {
    const all = "127.0.0.1/32 192.0.2.2/32 [::1]/128 [fd00::2]/128";
    assert.equal(load("").main.mynetworks.join(" "), all);
    assert.equal(
      load("mynetworks_style=subnet").main.mynetworks.join(" "),
      "127.0.0.0/8 192.0.2.0/24 [::1]/128 [fd00::]/64",
    );
    assert.equal(
      load("mynetworks_style=class").main.mynetworks.join(" "),
      "127.0.0.0/8 192.0.2.0/24 [::1]/128 [fd00::]/64",
    );
    assert.equal(load("inet_interfaces=loopback-only").main.mynetworks.join(" "), "127.0.0.1/32 [::1]/128");
    assert.equal(load("inet_protocols=ipv4").main.mynetworks.join(" "), "127.0.0.1/32 192.0.2.2/32");
    assert.equal(load("inet_interfaces=127.0.0.1").main.mynetworks.join(" "), "127.0.0.1/32");
  });
  it("mail_owner is postfix only where that account exists", () => {
    const files = {
      "/c/main.cf": "",
      "/c/master.cf": "",
      "/etc/passwd": "postfix:x:105:112::/var/spool/postfix:/bin/false\n",
    };
    assert.equal(loadConfig(fakeRuntime(files).runtime, "/c").main.mail_owner, "postfix");
    assert.equal(load("").main.mail_owner, "postrider");
  });
  it("worker_processes is the cores less one", () => assert.equal(load("").main.worker_processes, 3));
  it("compatibility_level brings older defaults back", () => {
    assert.equal(load("").main.append_dot_mydomain, false);
    assert.deepEqual(load("").main.relay_domains, []);
    const old = load("compatibility_level = 0").main;
    assert.equal(old.append_dot_mydomain, true);
    assert.equal(old.mynetworks_style, "subnet");
    assert.deepEqual(old.relay_domains, ["mx1.example.org", "localhost.example.org", "localhost"]);
  });
  it("myorigin takes the first line of a file (Debian)", () => {
    const files = { "/c/main.cf": "myorigin=/etc/mailname", "/c/master.cf": "", "/etc/mailname": "mail.example\nx\n" };
    assert.equal(loadConfig(fakeRuntime(files).runtime, "/c").main.myorigin, "mail.example");
    assert.match(
      faultsOf(() => load("myorigin=/nosuch"))[0]!,
      /^fatal: \/etc\/postfix\/main.cf, line 1: myorigin: open \/nosuch/,
    );
  });
});

describe("the view", () => {
  const MASTER = "smtp inet n - n - - smtpd -o smtpd_timeout=9\nrelay unix - - n - - smtp\nslow unix - - n - - smtp\n";
  it("tells raw text, expanded text and origin", () => {
    const { main } = load("mua = x $mydomain\nsmtpd_client_restrictions = $mua");
    assert.equal(main.raw("smtpd_client_restrictions"), "$mua");
    assert.equal(main.text("smtpd_client_restrictions"), "x example.org");
    assert.equal(main.text("mua"), "x example.org");
    assert.deepEqual(main.origin("smtpd_client_restrictions"), { file: "/etc/postfix/main.cf", line: 2 });
    assert.equal(main.origin("smtpd_timeout"), null);
    assert.equal(main.raw("nosuch"), null);
    assert.equal(main.text("nosuch"), "");
  });
  it("finds a transport's own limit, else the default", () => {
    const { main } = load(
      "default_destination_concurrency_limit=7\nslow_destination_rate_delay=2\nslow_initial_destination_concurrency=1",
      MASTER,
    );
    const limit: number = main.forTransport("slow", "destination_concurrency_limit");
    assert.equal(limit, 7);
    assert.equal(main.forTransport("smtp", "destination_concurrency_limit"), 7);
    assert.equal(main.forTransport("local", "destination_concurrency_limit"), 2);
    assert.equal(main.forTransport("slow", "destination_rate_delay"), 2000);
    assert.equal(main.forTransport("relay", "destination_rate_delay"), 0);
    assert.equal(main.forTransport("slow", "initial_destination_concurrency"), 1);
    assert.equal(main.forTransport("relay", "initial_destination_concurrency"), 5);
    assert.equal(main.forTransport("relay", "destination_concurrency_positive_feedback"), "1");
  });
  it("is one for each service with -o settings", () => {
    const loaded = load("smtpd_timeout=5", MASTER);
    assert.equal(loaded.configFor(loaded.services[0]!).smtpd_timeout, 9000);
    assert.deepEqual(loaded.configFor(loaded.services[0]!).origin("smtpd_timeout"), {
      file: "/etc/postfix/master.cf",
      line: 1,
    });
    assert.equal(loaded.configFor(loaded.services[1]!), loaded.main);
    assert.equal(loaded.main.smtpd_timeout, 5000);
  });
  it("puts settings from the command line over main.cf", () => {
    assert.equal(load("myhostname=a.b", "", { myhostname: "c.d" }).main.mydomain, "d");
  });
});

describe("faults and warnings", () => {
  it("lists every fault, with file and line", () => {
    const main =
      "minimal_backoff_time=3x\njunk\nsmtpd_recipient_limit=0\nmydomain=${a b}\nslow_destination_rate_delay=q\n";
    const faults = faultsOf(() =>
      load(main, "slow unix - - n - - smtp\nsmtp inet n - n - - smtpd -o smtpd_timeout=x\nbad\n")
    );
    assert.deepEqual(faults.map((fault) => fault.slice(0, 62)).sort(), [
      "fatal: /etc/postfix/main.cf, line 1: minimal_backoff_time: bad",
      "fatal: /etc/postfix/main.cf, line 2: missing '=' after attribu",
      "fatal: /etc/postfix/main.cf, line 3: smtpd_recipient_limit: ba",
      "fatal: /etc/postfix/main.cf, line 4: mydomain: attribute name ",
      "fatal: /etc/postfix/main.cf, line 5: slow_destination_rate_del",
      "fatal: /etc/postfix/master.cf, line 2: smtpd_timeout: bad time",
      "fatal: /etc/postfix/master.cf: line 3: bad field count",
    ]);
  });
  it("needs both files", () => {
    assert.deepEqual(faultsOf(() => loadConfig(fakeRuntime({}).runtime, "/c")), [
      "fatal: open /c/main.cf: No such file or directory",
    ]);
    assert.deepEqual(faultsOf(() => loadConfig(fakeRuntime({ "/c/main.cf": "" }).runtime, "/c")), [
      "fatal: open /c/master.cf: No such file or directory",
    ]);
  });
  it("finds endless recursion", () => {
    assert.match(faultsOf(() => load("mydomain=$a\na=$mydomain"))[0]!, /unreasonable macro call nesting/);
  });
  it("warns about unused and undefined names", () => {
    const { warnings } = load(
      "foo=1\nmydomain=$nosuch.x\nsmtpd_restriction_classes=c\nc=reject\nused=2\nrelayhost=$used\n",
    );
    assert.deepEqual(warnings, [
      "/etc/postfix/main.cf: undefined parameter: nosuch",
      "/etc/postfix/main.cf, line 1: unused parameter: foo=1",
    ]);
  });
  it("lists names that are known and not implemented, and reads over their faults", () => {
    const loaded = load("tls_daemon_random_bytes = x\nsmtpd_tls_security_level = may\n");
    assert.deepEqual(loaded.notImplemented, ["tls_daemon_random_bytes", "smtpd_tls_security_level"]);
    assert.match(loaded.warnings[0]!, /line 1: tls_daemon_random_bytes: bad number/);
  });
});
