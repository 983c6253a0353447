/**
 * postfix(1): start, start-fg, stop, abort, reload, status, check, flush; also as `postrider start` and so on.
 * Exit status 0 or 1, messages as postfix-script writes them.
 */

import { ask, controlPath, queuePath } from "../control.ts";
import { type Config, configDirectory, loadConfig } from "../config/config.ts";
import { ConfigError, messageOf } from "../errors.ts";
import { latin1Encode } from "../latin1.ts";
import type { Millis, Processes, Runtime } from "../runtime.ts";
import { becomeItself } from "./become.ts";
import { getopt, lastValue } from "./getopt.ts";

export const POSTFIX_ACTIONS = ["start", "start-fg", "stop", "abort", "reload", "status", "check", "flush"] as const;
type Action = (typeof POSTFIX_ACTIONS)[number];

/** A very long queue takes its time; a tool that has it is waited for. (master(8), -w: a reasonable time) */
const START: Millis = 100_000;

const USAGE = "fatal: usage: postfix [-c config_dir] [-Dv] command";

export async function postfix(runtime: Runtime, arguments_: readonly string[]): Promise<number> {
  const before = getopt("c:Dv", arguments_);
  const tell = (text: string): void => runtime.processes?.writeError(latin1Encode(`${text}\n`));
  const [action, ...rest] = before.operands;
  // Options may also stand behind the command: postrider start-fg -c DIR.
  const behind = getopt("c:Dv", rest);
  if (before.fault !== null || behind.fault !== null || action === undefined || behind.operands.length > 0) {
    tell(`postfix: ${USAGE}`);
    return 1;
  }
  if (!isAction(action)) {
    tell(`postfix/postfix-script: error: unknown command: '${action}'`);
    return 1;
  }
  const directory = configDirectory(runtime, lastValue(behind, "c") ?? lastValue(before, "c"));
  try {
    return await ACTIONS[action](runtime, directory, tell);
  } catch (caught) {
    const faults = caught instanceof ConfigError ? caught.faults : [`fatal: ${messageOf(caught)}`];
    for (const fault of faults) tell(`postfix: ${fault.startsWith("fatal: ") ? fault : `fatal: ${fault}`}`);
    return 1;
  }
}

function isAction(word: string): word is Action {
  return (POSTFIX_ACTIONS as readonly string[]).includes(word);
}

/** Loaded where it is to run, or to check the queue directory: the other commands ask the running one. */
const mailSystem = (): Promise<typeof import("../master.ts")> => import("../master.ts");

type Run = (runtime: Runtime, directory: string, tell: (text: string) => void) => Promise<number>;

const ACTIONS: Readonly<Record<Action, Run>> = {
  "start-fg": async (runtime, directory) => {
    const processes = runtime.processes as Processes;
    becomeItself(processes, processes.environmentOf.server, processes.arguments);
    const { Master } = await mailSystem();
    const master = Master.load(runtime, directory);
    const ended = master.run();
    await master.start();
    await ended;
    return 0;
  },
  start: async (runtime, directory, tell) => {
    const { main } = loadConfig(runtime, directory);
    if (await running(runtime, main) !== null) {
      tell("postfix/postfix-script: fatal: the Postfix mail system is already running");
      return 1;
    }
    tell("postfix/postfix-script: starting the Postfix mail system");
    return await startDaemon(runtime, directory, main, tell);
  },
  stop: (runtime, directory, tell) => stop(runtime, directory, tell, "stopping"),
  abort: (runtime, directory, tell) => stop(runtime, directory, tell, "aborting"),
  reload: async (runtime, directory, tell) => {
    const { main } = loadConfig(runtime, directory);
    if (await ask(runtime, controlPath(main.queue_directory), { request: "reload" }, () => {}) !== true) {
      return notRunning(tell, "fatal");
    }
    tell("postfix/postfix-script: refreshing the Postfix mail system");
    return 0;
  },
  status: async (runtime, directory, tell) => {
    const pid = await running(runtime, loadConfig(runtime, directory).main);
    if (pid === null) return notRunning(tell, "");
    tell(`postfix/postfix-script: the Postfix mail system is running: PID: ${pid}`);
    return 0;
  },
  check: async (runtime, directory, tell) => {
    const { prepareQueueDirectory } = await mailSystem();
    const { main, warnings } = loadConfig(runtime, directory);
    for (const warning of warnings) tell(`postfix: warning: ${warning}`);
    await prepareQueueDirectory(runtime, main, (text) => tell(`postfix/postfix-script: warning: ${text}`));
    return 0;
  },
  flush: async (runtime, directory, tell) => {
    const { main } = loadConfig(runtime, directory);
    const answered = await ask(runtime, queuePath(main.queue_directory), { request: "flush" }, () => {});
    return answered === true ? 0 : notRunning(tell, "fatal");
  },
};

function notRunning(tell: (text: string) => void, severity: "" | "fatal"): number {
  const word = severity === "" ? "" : `${severity}: `;
  tell(`postfix/postfix-script: ${word}the Postfix mail system is not running`);
  return 1;
}

/** The process id of the running system, null when there is none. */
async function running(runtime: Runtime, config: Config): Promise<number | null> {
  let pid: number | null = null;
  await ask(runtime, queuePath(config.queue_directory), { request: "status" }, (value) => pid = Number(value.pid));
  return pid;
}

const sleep = (runtime: Runtime, ms: number): Promise<void> =>
  new Promise((resolve) => void runtime.clock.after(ms, resolve));

async function stop(
  runtime: Runtime,
  directory: string,
  tell: (text: string) => void,
  doing: string,
): Promise<number> {
  const { main } = loadConfig(runtime, directory);
  const pid = await running(runtime, main);
  if (pid === null) return notRunning(tell, "fatal");
  tell(`postfix/postfix-script: ${doing} the Postfix mail system`);
  const control = controlPath(main.queue_directory);
  if (doing === "aborting") runtime.processes?.kill(pid, "SIGKILL");
  else if (await ask(runtime, control, { request: "stop" }, () => {}) !== true) runtime.processes?.kill(pid, "SIGTERM");
  for (let tries = 0; tries < 300 && runtime.processes?.kill(pid, 0) === true; tries++) await sleep(runtime, 50);
  return 0;
}

/** Starts this program again as a daemon and waits until it answers, or ends. */
async function startDaemon(
  runtime: Runtime,
  directory: string,
  config: Config,
  tell: (text: string) => void,
): Promise<number> {
  const processes = runtime.processes as Processes;
  const { command, arguments: before } = processes.self;
  const kept = ["PATH", "TZ", "LANG", "HOME"].flatMap((name) => {
    const value = processes.environment[name];
    return value === undefined ? [] : [[name, value]];
  });
  const environment = { ...Object.fromEntries(kept), ...processes.environmentOf.server };
  const child = processes.spawn(command, {
    arguments: [...before, "start-fg", "-c", directory],
    environment,
    streams: "ignore",
  });
  let ended = false;
  child.exited.then(() => ended = true, () => ended = true);
  for (const end = runtime.clock.monotonic() + START; runtime.clock.monotonic() < end && !ended;) {
    if (await running(runtime, config) !== null) return 0;
    await sleep(runtime, 50);
  }
  tell("postfix/postfix-script: fatal: mail system startup failed");
  return 1;
}
