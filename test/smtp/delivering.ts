/**
 * What the agent's tests share: an agent with quick time-outs on this runtime, a message, a log that is kept.
 */

import type { ContentSource, DeliveryRequest } from "../../src/agent.ts";
import type { Recipient } from "../../src/envelope.ts";
import { NO_CLIENT, plainRecipient } from "../../src/envelope.ts";
import { Resolver } from "../../src/dns/dns.ts";
import { latin1Encode } from "../../src/latin1.ts";
import type { Logger } from "../../src/log.ts";
import type { Runtime } from "../../src/runtime.ts";
import type { Protocol } from "../../src/smtp/parameters.ts";
import { smtpParameters } from "../../src/smtp/parameters.ts";
import { SmtpAgent } from "../../src/smtp/smtp.ts";
import { currentRuntime } from "../../runtimes/select.ts";

export const runtime: Runtime = await currentRuntime();

const QUICK = Object.fromEntries(
  ["connect", "helo", "mail", "rcpt", "data_init", "data_xfer", "data_done", "rset", "quit"].flatMap((stage) => {
    return [[`smtp_${stage}_timeout`, 300], [`lmtp_${stage === "helo" ? "lhlo" : stage}_timeout`, 300]];
  }),
);

export interface Desk {
  readonly agent: SmtpAgent;
  readonly lines: string[];
  readonly resolver: Resolver;
  close(): Promise<void>;
}

export function keepingLog(lines: string[]): Logger {
  const log: Logger = {
    info: (text) => void lines.push(text),
    warn: (text) => void lines.push(`warning: ${text}`),
    error: (text) => void lines.push(`error: ${text}`),
    fatal: (text) => void lines.push(`fatal: ${text}`),
    slot: () => log,
  };
  return log;
}

export const CONTENT = "Subject: test\r\n\r\nhello\r\n";

export function contentOf(text: string): ContentSource {
  const bytes = latin1Encode(text);
  return {
    pieces: () => [bytes],
    read: () => {
      throw new Error("the content is in memory");
    },
  };
}

export function desk(
  config: Readonly<Record<string, unknown>> = {},
  content: ContentSource = contentOf(CONTENT),
  protocol: Protocol = "smtp",
  dnsServers: readonly string[] = ["127.0.0.1:9"],
): Desk {
  const lines: string[] = [];
  const resolver = new Resolver({ runtime, servers: dnsServers, timeout: 300, attempts: 1 });
  const parameters = smtpParameters({ myhostname: "client.example", ...QUICK, ...config }, protocol);
  const agent = new SmtpAgent({ runtime, parameters, resolver, content, log: keepingLog(lines), protocol });
  return {
    agent,
    lines,
    resolver,
    close: async () => {
      await agent.close();
      resolver.close();
    },
  };
}

export function request(
  nexthop: string,
  recipients: readonly (string | Recipient)[] = ["a@x.example"],
  change: Partial<DeliveryRequest> & { readonly sender?: string } = {},
): DeliveryRequest {
  const { sender = "s@client.example", ...others } = change;
  return {
    queueId: "QID",
    transport: "smtp",
    nexthop,
    envelope: { sender, arrived: 0, client: NO_CLIENT, encoding: "", ret: "", envid: "" },
    recipients: recipients.map((one) => typeof one === "string" ? plainRecipient(one) : one),
    size: CONTENT.length,
    activeAt: 0,
    ...others,
  };
}

export const never: AbortSignal = new AbortController().signal;

/** No other message waits. */
export const alone = (): null => null;
