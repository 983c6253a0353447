/**
 * Who may look at the queue and flush it (authorized_mailq_users, authorized_flush_users): the super-user, the owner of
 * the mail, and whose login name is on the list; who has none is "unknown".
 * Throws Fatal for anybody else, and when a table cannot say; ConfigError for a list that cannot be read.
 */

import type { Config } from "../config/config.ts";
import { userNamed, userNumbered } from "../config/passwd.ts";
import { matchString, parseMatchList } from "../match-list.ts";
import { Fatal, type Tool } from "./tool.ts";

export async function requireAuthorized(tool: Tool, config: Config, doing: "view" | "flush"): Promise<void> {
  const { runtime } = tool;
  const uid = tool.processes.uid();
  if (uid === 0 || uid === userNamed(runtime, config.mail_owner)?.uid) return;
  const name = userNumbered(runtime, uid)?.name ?? "unknown";
  const place = doing === "view" ? "authorized_mailq_users" : "authorized_flush_users";
  const warn = (text: string): void => tool.warn(text);
  const list = parseMatchList(config[place], { runtime, parents: false, addresses: false, place, warn });
  const found = await matchString(list, name);
  if (found.kind === "unsure") throw new Fatal(`${place}: ${found.why}`);
  if (found.kind === "none") throw new Fatal(`User ${name}(${uid}) is not allowed to ${doing} the mail queue`);
}
