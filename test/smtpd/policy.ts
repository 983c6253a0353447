/** What the tests of restrictions share. */

import { loadConfig } from "../../src/config/config.ts";
import { openTable } from "../../src/maps/map.ts";
import { parseMatchList } from "../../src/match-list.ts";
import { replyLine } from "../../src/reply.ts";
import type { PolicyServices, SessionFacts, Verdict } from "../../src/smtpd/restrictions.ts";
import { AddressClasses } from "../../src/trivial-rewrite/resolve.ts";
import { configured } from "../config/fake-runtime.ts";

export const FACTS: SessionFacts = {
  client: { name: "c.isp.example", address: "203.0.113.9" },
  helo: "helo.example",
  sender: "s@x.example",
  recipient: "r@home.example",
  routed: false,
};

export function services(main = ""): PolicyServices {
  const { runtime } = configured(`mydestination = home.example\nmynetworks = 192.0.2.0/24\n${main}\n`);
  const config = loadConfig(runtime, "/etc/postfix").main;
  const options = { runtime, parents: false, addresses: true, place: "mynetworks" };
  return {
    config,
    classes: new AddressClasses(config, runtime),
    myNetworks: parseMatchList(config.mynetworks, options),
    open: (name) => openTable(name, runtime),
  };
}

export const shown = (verdict: Verdict): string => typeof verdict === "string" ? verdict : replyLine(verdict);
