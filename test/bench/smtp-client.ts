/**
 * The SMTP client against a sink: messages a second and CPU a message.
 *   node test/bench/smtp-client.ts PORT [connections] [seconds]
 * The sink is any SMTP server that takes everything, such as smtp-sink(1).
 */

import { alone, desk, never, request } from "../smtp/delivering.ts";
import { contentOf } from "../smtp/delivering.ts";

const [port = "2525", connections = "10", seconds = "5"] = process.argv.slice(2);
const text = "Subject: bench\r\n\r\n" + `${"x".repeat(60)} a.b\r\n`.repeat(61);
const bench = desk({}, contentOf(text));
const template = { ...request(`[127.0.0.1]:${port}`), size: text.length };

let sent = 0;
let until = 0;
async function worker(): Promise<void> {
  while (performance.now() < until) {
    const results = await bench.agent.deliver(template, never, alone);
    if (results[0]?.outcome !== "sent") throw new Error(results[0]?.reason);
    sent++;
  }
}

async function round(length: number): Promise<void> {
  sent = 0;
  until = performance.now() + length;
  const start = performance.now();
  const before = process.cpuUsage();
  await Promise.all(Array.from({ length: Number(connections) }, worker));
  const { user, system } = process.cpuUsage(before);
  const rate = sent / (performance.now() - start) * 1000;
  const each = (value: number): string => (value / sent).toFixed(1);
  console.log(`${rate.toFixed(0)} messages/s, ${each(user)} us user + ${each(system)} us system a message`);
}

await round(1000);
await round(Number(seconds) * 1000);
await round(Number(seconds) * 1000);
await bench.close();
