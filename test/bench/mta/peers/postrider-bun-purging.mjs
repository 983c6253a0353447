// Postrider on Bun as its allocator is by itself: free memory goes back to the system (runtimes/bun.ts says why not).
import path from 'node:path';
import { HERE } from '../lib.mjs';
import { peer } from './command.mjs';
const root = path.join(HERE, '../../..');
export const name = 'postrider-bun-purging';
export const start = peer(name, () => `env MIMALLOC_PURGE_DELAY=1000 ${root}/node_modules/.bin/bun ${root}/test/bench/mta.ts`);
