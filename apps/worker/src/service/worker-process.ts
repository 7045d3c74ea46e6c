import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { startTimer } from "@taskloom/loop/timer";
import type { WorkerStats } from "@taskloom/queue";
import { CliFailure } from "../cli/failure.ts";
import type { Stall } from "../demo/stall-meter.ts";
import { asVariables } from "../config/settings.ts";
import type { Settings } from "../config/settings.ts";
import type { MetricsSnapshot } from "./service-metrics.ts";
import type { MetricsRequest, WorkerMessage } from "./worker-messages.ts";

/** A place whose processes die this often in a row, each before it took a job, is given up. */
const failedStartsAtMost = 5;
const firstBackoff = 100;
const longestBackoff = 10_000;
/** A process that lived this long is taken as well: the next death starts counting from the beginning. */
const longEnough = 60_000;
/** How long a worker may take to give its metrics before the last ones are shown again. */
const metricsPatience = 500;

/** How much longer than its drain a process may take to stop before it is killed; milliseconds. */
const stopPatience = 5_000;

/** What is told of a place's deaths and starts. */
export interface ProcessListener {
  died(slot: number, reason: string, restartIn: number): void;
  gaveUp(error: Error): void;
}

/** The settings of the processes of a pool. */
export type ProcessSettings = Omit<Partial<Settings>, "modules" | "http"> & {
  readonly modules: readonly string[];
};

/**
 * One place in a pool of workers, and the process that fills it now. A process that dies is followed by another: at
 * once the first time, then after a wait that doubles up to ten seconds.
 */
export class WorkerProcess {
  stats: WorkerStats | undefined;
  stall: Stall | undefined;
  isReady = false;
  /** Ends when the first process takes jobs. */
  readonly ready: Promise<void>;
  readonly #slot: number;
  readonly #settings: ProcessSettings;
  readonly #listener: ProcessListener;
  readonly #firstReady = Promise.withResolvers<void>();
  #child: ChildProcess | undefined;
  #startedAt = 0;
  #deaths = 0;
  #failedStarts = 0;
  #restart: NodeJS.Timeout | undefined;
  #metrics: MetricsSnapshot = [];
  #onMetrics: (() => void)[] = [];
  #stopping = false;

  constructor(slot: number, settings: ProcessSettings, listener: ProcessListener) {
    this.#slot = slot;
    this.#settings = settings;
    this.#listener = listener;
    this.ready = this.#firstReady.promise;
    this.#start();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  #start(): void {
    const { modules, ...settings } = this.#settings;
    const own = new URL(import.meta.url.endsWith(".ts") ? "../bin.ts" : "../bin.js", import.meta.url);
    this.#startedAt = performance.now();
    const child = fork(fileURLToPath(own), ["worker", ...modules], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      serialization: "advanced",
      env: {
        ...process.env,
        ...asVariables({ ...settings, http: false }),
        TASKLOOM_SLOT: String(this.#slot),
      },
    });
    this.#child = child;
    child.on("message", (message: WorkerMessage) => this.#receive(message));
    child.once("exit", (code, signal) => this.#exited(signal ?? `exit code ${code}`));
  }

  #receive(message: WorkerMessage): void {
    switch (message.type) {
      case "ready":
        this.isReady = true;
        this.#failedStarts = 0;
        return this.#firstReady.resolve();
      case "stats":
        this.stats = message.stats;
        this.stall = message.stall;
        return;
      default:
        this.#metrics = message.metrics;
        for (const tell of this.#onMetrics.splice(0)) tell();
    }
  }

  #exited(reason: string): void {
    const wasReady = this.isReady;
    this.isReady = false;
    if (this.#stopping) return;
    if (!wasReady && ++this.#failedStarts >= failedStartsAtMost) {
      this.#listener.gaveUp(
        new CliFailure(
          "WORKERS_DIE",
          `a worker process ended ${this.#failedStarts} times before it took a job, at last with ${reason}; the lines above say why.`,
        ),
      );
      return;
    }
    if (performance.now() - this.#startedAt > longEnough) this.#deaths = 0;
    const wait = this.#deaths === 0 ? 0 : Math.min(longestBackoff, firstBackoff * 2 ** (this.#deaths - 1));
    this.#deaths++;
    this.#listener.died(this.#slot, reason, wait);
    this.#restart = setTimeout(() => this.#start(), wait);
  }

  /** What the process has measured; the last known when it does not answer in time. */
  async metrics(): Promise<MetricsSnapshot> {
    const child = this.#child;
    if (child?.connected !== true || !this.isReady) return this.#metrics;
    const answered = new Promise<void>((resolve) => this.#onMetrics.push(resolve));
    child.send({ type: "metrics?" } satisfies MetricsRequest, () => {});
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([answered, new Promise((resolve) => (timer = setTimeout(resolve, metricsPatience)))]);
    clearTimeout(timer);
    return this.#metrics;
  }

  /** Stops the process within its drain; one that takes longer, such as a loop that stands still, is killed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    const patience = (this.#settings.drain ?? 0) * 1_000 + stopPatience;
    const timer = startTimer(patience, () => child.kill("SIGKILL"));
    await ended;
    timer.cancel();
  }

  /** Ends the process as it stands. */
  kill(): void {
    this.#stopping = true;
    this.#child?.kill("SIGKILL");
  }
}
