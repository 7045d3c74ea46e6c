import { getEventLoop } from "@taskloom/loop";
import type { Engine } from "../contract/engine.ts";
import { unservedReason } from "../operate/serving.ts";

/** The time that a worker has to start before a job counts as unserved. */
const PATIENCE_MS = 1_000;
/** The same warning is repeated after this time. */
const REPEAT_AFTER_MS = 30_000;

/** Warns in debug mode of jobs that no live worker will run. */
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
    if (!getEventLoop().getDebug()) return;
    const now = performance.now();
    if (now - (this.#warnedAt.get(task) ?? -REPEAT_AFTER_MS) < REPEAT_AFTER_MS) return;
    this.#warnedAt.set(task, now);
    setTimeout(() => void this.#check(task, isPending).catch(() => {}), PATIENCE_MS).unref();
  }

  async #check(task: string, isPending: () => boolean): Promise<void> {
    if (!isPending()) return;
    await this.#engine.connect();
    const reason = await unservedReason(this.#engine, this.#queue, task);
    if (reason !== undefined)
      process.emitWarning(reason, { type: "TaskloomWarning", code: "JOB_NOT_SERVED" });
  }
}
