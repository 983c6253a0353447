/**
 * sendmail -bs: one SMTP session on standard input and output. Placeholder.
 */

import type { Config } from "../config/config.ts";
import { Fatal, type Tool } from "./tool.ts";

export function standAlone(_tool: Tool, _config: Config): Promise<number> {
  return Promise.reject(new Fatal("stand-alone mode is not implemented yet"));
}
