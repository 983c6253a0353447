/**
 * The delivery agents of a worker, by what master.cf runs as its unix services: who makes them, and by which rules the
 * queue manager gives them work.
 */

import type { ContentSource, DeliveryAgent } from "./agent.ts";
import type { TroubleNotices } from "./bounce/transcript.ts";
import type { Config, Loaded, Service } from "./config/config.ts";
import { ownConfig } from "./config/own.ts";
import type { Resolver } from "./dns/dns.ts";
import { discardAgent, errorAgent, retryAgent } from "./error.ts";
import { LocalAgent } from "./local/local.ts";
import type { Log } from "./log.ts";
import type { AgentService } from "./qmgr/dispatch.ts";
import { transportRules } from "./qmgr/rules.ts";
import type { Runtime } from "./runtime.ts";
import { GenericAgent } from "./smtp/generic.ts";
import { smtpParameters } from "./smtp/parameters.ts";
import { SmtpAgent } from "./smtp/smtp.ts";
import { AddressTables, tableWorld } from "./trivial-rewrite/address-tables.ts";
import type { AddressClasses } from "./trivial-rewrite/resolve.ts";
import { VirtualAgent } from "./virtual.ts";

/** What the agents of a worker share. */
export interface AgentWorld {
  readonly runtime: Runtime;
  readonly content: ContentSource;
  readonly resolver: Resolver;
  readonly classes: AddressClasses;
  readonly log: Log;
  readonly troubles: (config: Config, service: string) => TroubleNotices;
}

type AgentMaker = (world: AgentWorld, config: Config) => DeliveryAgent;

function smtpMaker(protocol: "smtp" | "lmtp"): AgentMaker {
  return (world, config) => {
    const { runtime, resolver, content, classes } = world;
    const log = world.log.service(protocol);
    const troubles = world.troubles(config, protocol);
    const parameters = smtpParameters(config, protocol);
    const agent = (source: ContentSource): DeliveryAgent =>
      new SmtpAgent({ runtime, parameters, resolver, content: source, log, protocol, troubles });
    const name = protocol === "smtp" ? "smtp_generic_maps" : "lmtp_generic_maps";
    if (config[name].length === 0) return agent(content);
    const options = { warn: (text: string): void => void log.warn(text) };
    const tables = new AddressTables(name, config[name], tableWorld(config, classes, runtime, options));
    return new GenericAgent({ tables, config, log, agent, content });
  };
}

/** Agents by the command column of master.cf. */
const AGENTS: Readonly<Record<string, AgentMaker>> = {
  smtp: smtpMaker("smtp"),
  lmtp: smtpMaker("lmtp"),
  local: ({ runtime, content, log }, config) => new LocalAgent({ runtime, config, content, log: log.service("local") }),
  virtual: ({ runtime, content, log }, config) =>
    new VirtualAgent({ runtime, config, content, log: log.service("virtual") }),
  error: ({ runtime }) => errorAgent(runtime.clock),
  discard: ({ runtime }) => discardAgent(runtime.clock),
};

/** Those whose deliveries may hang for no fault of this host. */
const OVER_NETWORK: ReadonlySet<string> = new Set(["smtp", "lmtp"]);

/** "retry" runs the error(8) program under another name, and defers. */
function makerOf(service: Service): AgentMaker | undefined {
  if (service.command === "error" && service.name === "retry") return ({ runtime }) => retryAgent(runtime.clock);
  return Object.hasOwn(AGENTS, service.command) ? AGENTS[service.command] : undefined;
}

/** By the names of their services. */
export function openAgents(loaded: Loaded, world: AgentWorld): ReadonlyMap<string, AgentService> {
  const agents = new Map<string, AgentService>();
  const logger = world.log.service("qmgr");
  for (const service of loaded.services) {
    const make = service.type === "unix" ? makerOf(service) : undefined;
    if (make === undefined) continue;
    const config = loaded.configFor(service);
    const processLimit = service.maxproc ?? config.default_process_limit;
    // Who writes down how many deliveries there may be means it.
    const mayStall = service.maxproc === null && OVER_NETWORK.has(service.command);
    const stalledLimit = mayStall ? config.postrider_stalled_delivery_limit : 0;
    agents.set(service.name, {
      rules: transportRules(service.name, processLimit, ownConfig(loaded, "qmgr"), logger, stalledLimit),
      agent: make(world, config),
      logName: service.command,
      softBounce: config.soft_bounce,
      resolution: config.delay_logging_resolution_limit,
    });
  }
  return agents;
}
