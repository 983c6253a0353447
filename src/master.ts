/**
 * The running system: reads the configuration, prepares the queue directory, opens the queue, starts the worker,
 * answers the control socket and the signals. SIGTERM and SIGINT drain and end it. SIGHUP reads the configuration
 * again: a new worker takes over ports and queue, while the sessions and deliveries of the old one go on to their
 * end; a configuration that cannot be used is reported and the old one comes back.
 */

import { type ControlAnswer, type ControlRequest, serveControl, untilFree } from "./control.ts";
import { type Config, loadConfig, type Loaded } from "./config/config.ts";
import { userNamed } from "./config/passwd.ts";
import { ConfigError, messageOf, systemCode } from "./errors.ts";
import { latin1Encode } from "./latin1.ts";
import { Log } from "./log.ts";
import { Maillog } from "./maillog.ts";
import { Mta } from "./mta.ts";
import { Ports } from "./ports.ts";
import { answerQueueRequest, type QueueWorld } from "./queue-requests.ts";
import { lockQueue } from "./queue/open.ts";
import type { QueueStore } from "./queue/store.ts";
import type { Listener, Millis, Processes, Runtime } from "./runtime.ts";

/** How long sessions, and then deliveries, may go on at a stop, or at a reload that changes the queue. */
const DRAIN: Millis = 10_000;

/** Folders of a queue directory, with their permissions; maildrop is world-writable and sticky. */
const FOLDERS: readonly (readonly [string, number])[] = [
  ["pid", 0o755],
  ["public", 0o755],
  ["private", 0o700],
  ["maildrop", 0o1733],
  ["spool", 0o700],
  ["saved", 0o700],
  ["corrupt", 0o700],
];

/** Makes what is missing in the queue directory, with Postfix's warning (postfix check). */
export async function prepareQueueDirectory(
  runtime: Runtime,
  config: Config,
  warn: (text: string) => void,
): Promise<void> {
  const files = runtime.files!;
  const root = config.queue_directory;
  const processes = runtime.processes as Processes;
  const owner = processes.uid() === 0 ? userNamed(runtime, config.mail_owner) : null;
  for (const [name, mode] of [["", 0o755], ...FOLDERS] as const) {
    const path = name === "" ? root : `${root}/${name}`;
    try {
      await files.stat(path);
      continue;
    } catch (caught) {
      if (systemCode(caught) !== "ENOENT") throw caught;
    }
    if (name !== "") warn(`creating missing Postfix ${name} directory`);
    await files.makeFolder(path, mode);
    await files.setMode(path, mode);
    if (owner !== null && name !== "" && name !== "pid") await files.setOwner(path, owner.uid, owner.gid);
  }
}

/** The queue, and by which settings it was opened. */
interface OpenQueue {
  readonly store: QueueStore;
  readonly settings: string;
  loaded: boolean;
}

export class Master {
  readonly #runtime: Runtime;
  readonly #directory: string;
  #loaded: Loaded;
  #maillog: Maillog;
  #log: Log;
  #queue: OpenQueue | null = null;
  #mta: Mta | null = null;
  /** Workers whose sessions or deliveries have not ended. */
  readonly #retiring = new Set<Mta>();
  readonly #ports: Ports;
  #control: readonly Listener[] = [];
  #changing: Promise<void> = Promise.resolve();
  #stopping = false;
  #ended: (() => void) | null = null;

  private constructor(runtime: Runtime, directory: string, loaded: Loaded) {
    this.#runtime = runtime;
    this.#directory = directory;
    this.#loaded = loaded;
    this.#ports = new Ports(runtime);
    this.#maillog = new Maillog(runtime, loaded.main.maillog_file);
    this.#log = this.#makeLog();
  }

  /** Throws ConfigError with every fault. */
  static load(runtime: Runtime, directory: string): Master {
    return new Master(runtime, directory, loadConfig(runtime, directory));
  }

  get config(): Config {
    return this.#loaded.main;
  }

  get addresses(): readonly string[] {
    return this.#mta?.addresses ?? [];
  }

  /** A stop or reload that is asked for meanwhile comes afterwards. */
  start(): Promise<void> {
    const processes = this.#runtime.processes as Processes;
    processes.onSignal("SIGTERM", () => void this.stop());
    processes.onSignal("SIGINT", () => void this.stop());
    processes.onSignal("SIGHUP", () => void this.reload());
    const started = this.#start(processes);
    this.#changing = started.catch(() => {});
    return started;
  }

  async #start(processes: Processes): Promise<void> {
    const logger = this.#log.service("master");
    for (const warning of this.#loaded.warnings) logger.warn(warning);
    const { notImplemented, main } = this.#loaded;
    if (notImplemented.length > 0) logger.warn(`recognised, not implemented: ${notImplemented.join(", ")}`);
    if (processes.uid() === 0) logger.warn("running as root: privileges are not dropped yet");
    const script = this.#log.service("postfix-script");
    await prepareQueueDirectory(this.#runtime, main, (text) => script.warn(text));
    try {
      await this.#openWorker();
    } catch (caught) {
      await this.#ports.close();
      await this.#closeQueue(0);
      throw caught;
    }
    this.#control = await serveControl(this.#runtime, main.queue_directory, (request) => this.#answer(request));
    await this.#writePid(processes.pid);
    logger.info(`daemon started -- version ${main.mail_version}, configuration ${this.#directory}`);
    this.#log.flush();
  }

  /** Resolves when the system has stopped. */
  run(): Promise<void> {
    return new Promise((resolve) => this.#ended = resolve);
  }

  stop(): Promise<void> {
    this.#stopping = true;
    return this.#inTurn(async () => {
      const logger = this.#log.service("master");
      logger.info("terminating on signal 15");
      await Promise.all([...this.#control, this.#ports].map((one) => one.close()));
      await this.#retireWorker();
      await this.#closeQueue(DRAIN);
      await this.#runtime.files?.remove(this.#pidFile).catch(() => {});
      this.#log.flush();
      await this.#maillog.close();
      this.#ended?.();
    });
  }

  /** What cannot be used is reported, and the old configuration stays (or comes back, when only the start shows it). */
  reload(): Promise<void> {
    return this.#inTurn(async () => {
      const logger = this.#log.service("master");
      let loaded: Loaded;
      try {
        loaded = loadConfig(this.#runtime, this.#directory);
      } catch (caught) {
        return this.#reportReload(caught);
      }
      logger.info(`reload -- version ${loaded.main.mail_version}, configuration ${this.#directory}`);
      const former = this.#loaded;
      this.#ports.hold();
      await this.#retireWorker();
      try {
        await this.#adopt(loaded);
        await this.#openWorker();
      } catch (caught) {
        this.#reportReload(caught);
        this.#ports.hold();
        await this.#adopt(former);
        await this.#openWorker();
      }
      await this.#ports.settle();
      for (const mta of this.#retiring) void mta.over().then(() => this.#end(mta, 0));
    });
  }

  #reportReload(caught: unknown): void {
    const faults = caught instanceof ConfigError ? caught.faults : [messageOf(caught)];
    for (const fault of faults) this.#log.service("master").error(`reload: ${fault}`);
  }

  /** Log and settings of that configuration. Workers that retire go on with theirs, and write to its file. */
  async #adopt(loaded: Loaded): Promise<void> {
    const former = this.#loaded.main.maillog_file;
    this.#loaded = loaded;
    this.#log.flush();
    this.#log = this.#makeLog();
    if (loaded.main.maillog_file === former) return await this.#maillog.reopen();
    const written = this.#maillog;
    this.#maillog = new Maillog(this.#runtime, loaded.main.maillog_file);
    await written.close();
  }

  /** Stops and reloads never overlap. */
  #inTurn(action: () => Promise<void>): Promise<void> {
    const turn = this.#changing.then(action).catch(async (caught: unknown) => {
      this.#log.service("master").fatal(messageOf(caught));
      await this.#ports.close();
      await this.#closeQueue(0).catch(() => {});
      this.#ended?.();
    });
    this.#changing = turn;
    return turn;
  }

  async #openWorker(): Promise<void> {
    const queue = await this.#openQueue();
    const { store } = queue;
    const [runtime, loaded, log, ports, retiring] = [
      this.#runtime,
      this.#loaded,
      this.#log,
      this.#ports,
      this.#retiring,
    ];
    const mta = new Mta({ runtime, loaded, log, store, ports, retiring });
    try {
      await mta.start(() => load(queue));
    } catch (caught) {
      this.#retiring.add(mta);
      await mta.retire();
      throw caught;
    }
    this.#mta = mta;
  }

  /** The queue of the configuration, with nobody left who works with another one. */
  async #openQueue(): Promise<OpenQueue> {
    const { queue_storage, queue_directory, enable_long_queue_ids } = this.#loaded.main;
    const settings = JSON.stringify([queue_storage, queue_directory, enable_long_queue_ids]);
    if (this.#queue?.settings === settings) return this.#queue;
    await this.#closeQueue(DRAIN);
    const store = await lockQueue(queue_storage, {
      runtime: this.#runtime,
      log: this.#log.service("queue"),
      longQueueIds: enable_long_queue_ids,
      taken: untilFree(this.#runtime, queue_directory, () => this.#stopping),
    });
    return this.#queue = { store, settings, loaded: false };
  }

  async #closeQueue(within: Millis): Promise<void> {
    await Promise.all([...this.#retiring].map((mta) => this.#end(mta, within)));
    const queue = this.#queue;
    this.#queue = null;
    await queue?.store.close();
  }

  async #retireWorker(): Promise<void> {
    const mta = this.#mta;
    this.#mta = null;
    if (mta === null) return;
    this.#retiring.add(mta);
    await mta.retire();
  }

  async #end(mta: Mta, within: Millis): Promise<void> {
    if (this.#retiring.delete(mta)) await mta.close(within);
  }

  #makeLog(): Log {
    const { main } = this.#loaded;
    const processes = this.#runtime.processes as Processes;
    return new Log({
      clock: this.#runtime.clock,
      hostname: main.myhostname.split(".")[0] as string,
      name: main.syslog_name,
      format: main.log_format === "json" ? "json" : "postfix",
      write: (lines) => this.#maillog.write(lines),
      pid: processes.pid,
    });
  }

  get #pidFile(): string {
    return `${this.#loaded.main.queue_directory}/pid/master.pid`;
  }

  /** For people and scripts only: the queue is locked by other means. */
  async #writePid(pid: number): Promise<void> {
    const file = await this.#runtime.files!.open(this.#pidFile, "write", 0o644);
    await file.truncate(0);
    await file.write([latin1Encode(`${String(pid).padStart(10)}\n`)], 0);
    await file.close();
  }

  async *#answer(request: ControlRequest): ControlAnswer {
    const { clock, processes } = this.#runtime;
    if (request.request === "status") yield { pid: processes?.pid, addresses: this.addresses };
    else if (request.request === "stop") clock.after(10, () => void this.stop());
    else if (request.request === "reload") clock.after(10, () => void this.reload());
    else yield* this.#answerOfWorker(request);
  }

  async *#answerOfWorker(request: ControlRequest): ControlAnswer {
    // A reload is soon over.
    if (this.#mta === null) await this.#changing;
    const mta = this.#mta;
    if (mta === null) throw new Error("the mail system stops");
    if (request.request === "pickup") mta.pickup.look();
    else yield* answerQueueRequest(this.#queueWorld(mta), request) ?? [];
  }

  #queueWorld({ store, qmgr, flush }: Mta): QueueWorld {
    const queueDirectory = this.#loaded.main.queue_directory;
    return {
      runtime: this.#runtime,
      queueDirectory,
      store,
      // A reload may put another in its place.
      look: () => (this.#mta?.qmgr ?? qmgr).look(),
      flush: (ids) => (this.#mta?.qmgr ?? qmgr).flush(ids),
      flushSite: (site) => flush.send(site),
    };
  }
}

async function load(queue: OpenQueue): Promise<void> {
  if (!queue.loaded) await queue.store.load();
  queue.loaded = true;
}
