/**
 * Starts Postrider as a program of its own, on the runtime that runs the test, in a folder of its own.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import process from "node:process";

const ROOT = new URL("..", import.meta.url).pathname;

/** How the runtime that runs this test runs a script. */
export function scriptCommand(script: string, runtime?: string): { command: string; arguments: string[] } {
  const path = script.startsWith("/") ? script : join(ROOT, script);
  const deno = runtime === undefined ? process.versions.deno !== undefined : runtime === "deno";
  const command = runtime === undefined ? process.execPath : join(ROOT, "node_modules/.bin", runtime);
  return { command, arguments: deno ? ["run", "-A", "--no-check", path] : [path] };
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until the condition holds; throws after the time with what `state` says. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  within: number,
  state: () => string,
): Promise<void> {
  for (const end = performance.now() + within; performance.now() < end; await sleep(20)) {
    if (await condition()) return;
  }
  throw new Error(`not within ${within} ms: ${state()}`);
}

export interface RunningOptions {
  /** Lines of main.cf beside those that every test needs. */
  readonly main?: string;
  /** Lines of master.cf beside smtpd and the usual agents. */
  readonly master?: string;
  /** -o settings of the smtpd line, and the like. */
  readonly smtpdOptions?: string;
  readonly folder?: string;
  readonly port?: number;
  /** Words before the command, such as a limit of resources: ["prlimit", "--nofile=64"]. */
  readonly before?: readonly string[];
  /** Options of the runtime itself, such as --max-old-space-size. */
  readonly runtimeOptions?: readonly string[];
  /** The script to run instead of bin/postrider.ts. */
  readonly program?: string;
  /** "node", "bun" or "deno"; otherwise the one that runs the test. */
  readonly runtime?: string;
}

/** Where Node keeps what it compiled: a start from .ts takes half the time. For tests alone; Bun knows the name too. */
export const NODE_COMPILE_CACHE: string = process.env.NODE_COMPILE_CACHE ?? join(ROOT, "node_modules/.cache/node");

/** What is built starts as installed. */
function environment(runtime: string | undefined, program: string | undefined): NodeJS.ProcessEnv {
  const others = { ...process.env };
  delete others.NODE_COMPILE_CACHE;
  const here = "bun" in process.versions ? "bun" : "deno" in process.versions ? "deno" : "node";
  return (runtime ?? here) === "node" && program === undefined ? { ...others, NODE_COMPILE_CACHE } : others;
}

export class Running {
  readonly folder: string;
  readonly port: number;
  readonly #options: RunningOptions;
  #child: ChildProcess | null = null;
  #errors = "";

  constructor(folder: string, port: number, options: RunningOptions) {
    this.folder = folder;
    this.port = port;
    this.#options = options;
    const owner = userInfo().uid === 0 ? "root" : userInfo().username;
    mkdirSync(`${folder}/etc`, { recursive: true });
    writeFileSync(
      `${folder}/etc/main.cf`,
      `compatibility_level = 3.6
queue_directory = ${folder}/spool
data_directory = ${folder}/lib
maillog_file = ${folder}/mail.log
mail_owner = ${owner}
myhostname = mx.test.example
mydestination =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
${options.main ?? ""}
`,
    );
    writeFileSync(
      `${folder}/etc/master.cf`,
      `127.0.0.1:${port} inet n - n - 0 smtpd ${options.smtpdOptions ?? ""}
${["smtp", "lmtp", "local", "virtual", "error", "discard"].map((name) => `${name} unix - - n - - ${name}`).join("\n")}
relay unix - - n - - smtp
retry unix - - n - - error
${options.master ?? ""}
`,
    );
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get log(): string {
    try {
      return readFileSync(`${this.folder}/mail.log`, "latin1");
    } catch {
      return "";
    }
  }

  get errors(): string {
    return this.#errors;
  }

  /** The command line of one of our commands, with -c for this instance. */
  async start(before = this.#options.before ?? []): Promise<this> {
    const { runtime, program } = this.#options;
    const { command, arguments: words } = scriptCommand(program ?? "bin/postrider.ts", runtime);
    const line = [...before, command, ...this.#options.runtimeOptions ?? [], ...words];
    const child = spawn(line[0]!, [...line.slice(1), "start-fg", "-c", `${this.folder}/etc`], {
      stdio: ["ignore", "pipe", "pipe"],
      env: environment(runtime, program),
    });
    this.#child = child;
    let ended = false;
    child.on("exit", () => ended = true);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => this.#errors += text);
    }
    try {
      // Many may start at once on a busy machine.
      // Somebody else may have taken the port meanwhile: what answers must be this one.
      const up = (): boolean | Promise<boolean> => this.log.includes("daemon started") && answers(this.port);
      await until(() => ended || up(), 60_000, () => this.#errors + this.log);
    } catch (caught) {
      child.kill("SIGKILL");
      throw caught;
    }
    if (ended) throw new Error(`did not start: ${this.#errors}`);
    return this;
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exited = new Promise<number | null>((resolve) => child.on("exit", resolve));
    process.kill(child.pid!, signal);
    const code = await exited;
    this.#child = null;
    return code;
  }

  stop(): Promise<number | null> {
    return this.#end("SIGTERM");
  }

  kill(): Promise<number | null> {
    return this.#end("SIGKILL");
  }

  async remove(): Promise<void> {
    await this.#end("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What to show of it when something does not come to pass. */
export const tail = (running: Running) => (): string => running.errors + running.log.slice(-3000);

/** Whether a server greets on that port. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    const done = (value: boolean): void => {
      socket.destroy();
      resolve(value);
    };
    socket.once("data", () => done(true));
    socket.once("error", () => done(false));
    // It died, and the system ended the connection for it.
    socket.once("close", () => done(false));
    socket.setTimeout(1_000, () => done(false));
  });
}

export async function startPostrider(options: RunningOptions = {}): Promise<Running> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "postrider-"));
  const running = new Running(folder, options.port ?? await freePort(), options);
  return await running.start();
}
