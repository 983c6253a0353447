// Postrider on Bun (test/bench/mta.ts).
import path from 'node:path';
import { HERE } from '../lib.mjs';
import { peer } from './command.mjs';
const root = path.join(HERE, '../../..');
export const name = 'postrider-bun';
export const start = peer(name, () => `${root}/node_modules/.bin/bun ${root}/test/bench/mta.ts`);
