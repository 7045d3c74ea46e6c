import { getEventLoop } from "@taskloom/loop";
import type { Engine } from "../contract/engine.ts";
import { unservedReason } from "../operate/serving.ts";

/** A worker that starts in the same moment is given this long, in milliseconds. */
const patience = 1_000;
/** The same warning comes again after this long, in milliseconds. */
const againAfter = 30_000;

/** In debug mode: warns of jobs that no live worker will run. */
export class UnservedWarning {
  readonly #engine: Engine;
  readonly #queue: string;
  readonly #warnedAt = new Map<string, number>();

  constructor(engine: Engine, queue: string) {
    this.#engine = engine;
    this.#queue = queue;
  }

  /** Looks once, in a moment, whether a job is served; `isPending` says then whether it matters still. */
  watch(task: string, isPending: () => boolean): void {
    if (!getEventLoop().getDebug()) return;
    const now = performance.now();
    if (now - (this.#warnedAt.get(task) ?? -againAfter) < againAfter) return;
    this.#warnedAt.set(task, now);
    setTimeout(() => void this.#look(task, isPending).catch(() => {}), patience).unref();
  }

  async #look(task: string, isPending: () => boolean): Promise<void> {
    if (!isPending()) return;
    await this.#engine.connect();
    const reason = await unservedReason(this.#engine, this.#queue, task);
    if (reason !== undefined)
      process.emitWarning(reason, { type: "TaskloomWarning", code: "JOB_NOT_SERVED" });
  }
}
