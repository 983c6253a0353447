import assert from "node:assert/strict";
import { it } from "node:test";
import { postalias } from "../../src/commands/postalias.ts";
import { postmap } from "../../src/commands/postmap.ts";
import { Site } from "./site.ts";

it("postmap and postalias say that they are not there yet", async () => {
  const site = new Site();
  for (const [name, command] of [["postmap", postmap], ["postalias", postalias]] as const) {
    const { status, errors } = await site.run(command, ["hash:/x"]);
    assert.deepEqual([status, errors], [1, `${name}: fatal: not implemented yet\n`]);
  }
  site.remove();
});
