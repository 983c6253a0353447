/** Writes docs/parameters.md: `node test/write-parameters.ts`. */

import { writeFileSync } from "node:fs";
import { parametersDocument } from "../src/params/document.ts";

writeFileSync(new URL("../docs/parameters.md", import.meta.url), parametersDocument());
