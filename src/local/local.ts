import { discardAgent } from "../error.ts";
export class LocalAgent { constructor(_o: object) {} deliver = discardAgent().deliver; close(): Promise<void> { return Promise.resolve(); } }
