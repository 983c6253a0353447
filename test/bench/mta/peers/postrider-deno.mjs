// Postrider on Deno (test/bench/mta.ts).
import path from 'node:path';
import { HERE } from '../lib.mjs';
import { peer } from './command.mjs';
const root = path.join(HERE, '../../..');
export const name = 'postrider-deno';
export const start = peer(name, () => `${root}/node_modules/.bin/deno run -A --no-check ${root}/test/bench/mta.ts`);
