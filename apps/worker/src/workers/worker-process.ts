import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Lifecycle } from "@taskloom/loop/lifecycle";
import type { Life, LifeState } from "@taskloom/loop/lifecycle";
import { startTimer } from "@taskloom/loop/timer";
import { asVariables } from "../config/settings.ts";
import type { Settings } from "../config/settings.ts";
import { CliFailure } from "../errors/cli-failure.ts";
import type { MetricsSnapshot } from "./job-metrics.ts";
import type { LoopDelay } from "./loop-delay-meter.ts";
import type { MetricsRequest, WorkerMessage } from "./worker-messages.ts";

/** A slot is given up after so many processes in a row that ended before they took a job. */
const MAX_FAILED_STARTS = 5;
const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 10_000;
/** A process that lived this long resets the back-off. */
const STABLE_MS = 60_000;
/** The time that a worker has to send its metrics; after it the last ones are shown again. */
const METRICS_PATIENCE_MS = 500;
/** The time that a process has beyond its drain before it is killed. */
const STOP_PATIENCE_MS = 5_000;

/** Receives the deaths of a slot's processes. */
export interface ProcessListener {
  died(slot: number, reason: string, restartIn: number): void;
  gaveUp(error: Error): void;
}

/** The settings of worker processes. */
export type ProcessSettings = Omit<Partial<Settings>, "modules" | "http"> & {
  readonly modules: readonly string[];
};

/**
 * One slot of a set of workers, and the process that fills it. A process that dies is replaced: at once the first time,
 * then after a back-off that doubles up to ten seconds.
 */
export class WorkerProcess implements Life {
  loopDelay: LoopDelay | undefined;
  /** Resolves when the first process takes jobs. Rejects if the slot was stopped before. */
  readonly ready: Promise<void>;
  readonly #slot: number;
  readonly #settings: ProcessSettings;
  readonly #listener: ProcessListener;
  readonly #firstReady = Promise.withResolvers<void>();
  #child: ChildProcess | undefined;
  #isReady = false;
  #startedAt = 0;
  #deaths = 0;
  #failedStarts = 0;
  #restart: NodeJS.Timeout | undefined;
  #metrics: MetricsSnapshot = [];
  #onMetrics: (() => void)[] = [];
  readonly #life = new Lifecycle(notReady);

  constructor(slot: number, settings: ProcessSettings, listener: ProcessListener) {
    this.#slot = slot;
    this.#settings = settings;
    this.#listener = listener;
    this.ready = this.#firstReady.promise;
    this.ready.catch(() => {});
    this.#start();
  }

  #start(): void {
    const { modules, ...settings } = this.#settings;
    const bin = new URL(import.meta.url.endsWith(".ts") ? "../bin.ts" : "../bin.js", import.meta.url);
    this.#startedAt = performance.now();
    const child = fork(fileURLToPath(bin), ["worker", ...modules], {
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
        this.#isReady = true;
        this.#failedStarts = 0;
        return this.#firstReady.resolve();
      case "delay":
        this.loopDelay = message.loopDelay;
        return;
      case "metrics":
        this.#metrics = message.metrics;
        for (const notify of this.#onMetrics.splice(0)) notify();
    }
  }

  #exited(reason: string): void {
    const wasReady = this.#isReady;
    this.#isReady = false;
    if (!this.#life.isOpen) return;
    if (!wasReady && ++this.#failedStarts >= MAX_FAILED_STARTS) {
      this.#listener.gaveUp(
        new CliFailure(
          "WORKERS_DIE",
          `A worker process ended ${this.#failedStarts} times before it took a job, at last with ${reason}; the lines above have the reason`,
        ),
      );
      return;
    }
    if (performance.now() - this.#startedAt > STABLE_MS) this.#deaths = 0;
    const wait =
      this.#deaths === 0 ? 0 : Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (this.#deaths - 1));
    this.#deaths++;
    this.#listener.died(this.#slot, reason, wait);
    this.#restart = setTimeout(() => this.#start(), wait);
  }

  /** Returns the metrics of the process; the last known ones if it does not answer in time. */
  async metrics(): Promise<MetricsSnapshot> {
    const child = this.#child;
    if (child?.connected !== true || !this.#isReady) return this.#metrics;
    const answered = new Promise<void>((resolve) => this.#onMetrics.push(resolve));
    child.send({ type: "metrics?" } satisfies MetricsRequest, () => {});
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      answered,
      new Promise((resolve) => (timer = setTimeout(resolve, METRICS_PATIENCE_MS))),
    ]);
    clearTimeout(timer);
    return this.#metrics;
  }

  /** Stops the process within its drain. A process that takes longer, such as one whose loop is blocked, is killed. */
  stop(): Promise<void> {
    return this.#life.stop(() => this.#stop());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** `open` until `stop()` or `kill()`; `stopped` when `stop()` has seen the end of the process. */
  get state(): LifeState {
    return this.#life.state;
  }

  async #stop(): Promise<void> {
    this.#firstReady.reject(notReady());
    clearTimeout(this.#restart);
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    const patience = (this.#settings.drain ?? 0) * 1_000 + STOP_PATIENCE_MS;
    const timer = startTimer(patience, () => child.kill("SIGKILL"));
    await ended;
    timer.cancel();
  }

  /** Ends the process at once. */
  kill(): void {
    this.#life.beginStop();
    this.#child?.kill("SIGKILL");
  }
}

function notReady(): CliFailure {
  return new CliFailure("WORKER_STOPPED", "The worker process was stopped before it took jobs");
}
