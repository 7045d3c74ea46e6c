import { getEventLoop } from "@taskloom/loop";
import type { Engine } from "../contract/engine.ts";
import { unservedReason } from "../operate/serving.ts";

/** The time that a worker has to start before a job counts as unserved; it is shorter in debug mode. */
const PATIENCE_MS = 5_000;
const DEBUG_PATIENCE_MS = 1_000;
/** In debug mode the same warning is repeated after this time. Otherwise each task has one warning. */
const REPEAT_AFTER_MS = 30_000;

let isSilent = false;

/** Ends these warnings for this process: a service shows by its log and its answers that a job is not served. */
export function silenceUnserved(): void {
  isSilent = true;
}

/** Warns of jobs that no live worker will run. */
export class UnservedWarning {
  readonly #engine: Engine;
  readonly #queue: string;
  readonly #warnedAt = new Map<string, number>();

  constructor(engine: Engine, queue: string) {
    this.#engine = engine;
    this.#queue = queue;
  }

  /** Checks once, after a pause, whether a worker serves a job. No warning is emitted if the job has ended by then. */
  watch(task: string, isPending: () => boolean): void {
    if (isSilent) return;
    const warnedAt = this.#warnedAt.get(task);
    if (warnedAt !== undefined) {
      if (!getEventLoop().getDebug() || performance.now() - warnedAt < REPEAT_AFTER_MS) return;
    }
    this.#warnedAt.set(task, performance.now());
    const patience = getEventLoop().getDebug() ? DEBUG_PATIENCE_MS : PATIENCE_MS;
    setTimeout(() => {
      // A job that has ended soon says nothing about the next one.
      if (isPending()) void this.#check(task, isPending).catch(() => {});
      else this.#warnedAt.delete(task);
    }, patience).unref();
  }

  async #check(task: string, isPending: () => boolean): Promise<void> {
    if (!isPending()) return;
    await this.#engine.connect();
    const reason = await unservedReason(this.#engine, this.#queue, task);
    if (reason !== undefined)
      process.emitWarning(reason, { type: "TaskloomWarning", code: "JOB_NOT_SERVED" });
  }
}
