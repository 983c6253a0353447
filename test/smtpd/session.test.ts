import { after, before, describe, test } from "node:test";
import { dialogueScripts, runDialogue } from "../dialogue.ts";
import { type Running, startPostrider } from "../postrider.ts";

/** One running system for all dialogues with the same settings. */
const systems = new Map<string, Promise<Running>>();
const scripts = dialogueScripts();

function systemFor(settings: readonly string[]): Promise<Running> {
  const key = settings.join("\n");
  const known = systems.get(key) ?? startPostrider({ main: `${key}\ndefer_transports = smtp local` });
  systems.set(key, known);
  return known;
}

describe("SMTP dialogues", () => {
  before(() => Promise.all(scripts.map(({ settings }) => systemFor(settings))));
  after(async () => {
    for (const running of systems.values()) await (await running).remove();
  });
  for (const script of scripts) {
    test(script.name, async () => {
      const { port } = await systemFor(script.settings);
      await runDialogue(script, port);
    });
  }
});
