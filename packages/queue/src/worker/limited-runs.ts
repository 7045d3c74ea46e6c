import type { Engine } from "../contract/engine.ts";
import type { BullJob } from "../contract/lane-queue.ts";
import { DelayedError, WaitingError } from "../contract/moved-job.ts";
import type { AskedLimit } from "../contract/task-limits.ts";
import { untilAnswered, untilDone } from "../contract/transient.ts";
import type { RunnableTask } from "../definition/define-task.ts";
import { firstCall, limitTerms } from "../definition/limits.ts";
import { EngineUnsupportedError } from "../errors.ts";
import { StoredFailure } from "../wire/outcome.ts";

/** The slots of one run. */
export interface TakenSlots {
  readonly id: string;
  readonly token: string;
  /** The limits whose slots the run holds to its end. */
  readonly held: readonly string[];
}

/** Takes and frees the slots of the limited jobs of one lane. */
export class LimitedRuns {
  readonly #engine: Engine;
  readonly #laneName: string;
  readonly #releases = new Set<Promise<void>>();

  constructor(engine: Engine, laneName: string) {
    this.#engine = engine;
    this.#laneName = laneName;
  }

  /**
   * Takes the slots of a job that is about to run.
   *
   * @throws an error that {@link LaneProcessor} describes if the job was parked, or its lock is lost; {@link StoredFailure} if its
   *   key cannot be computed, or if its limit cannot count it.
   */
  async enter(
    job: BullJob,
    token: string,
    { task }: RunnableTask,
    args: readonly unknown[],
  ): Promise<TakenSlots> {
    const id = job.id!;
    const limits = termsOf(job, task, args);
    const names = limits.map(({ name }) => name);
    const answer = await untilAnswered(this.#engine, () =>
      this.#engine.limits.ask(this.#laneName, id, token, limits),
    ).catch((error: unknown) => {
      // The limit does not count this job, and will not at its next attempt.
      throw error instanceof EngineUnsupportedError ? new StoredFailure(error, { final: true }) : error;
    });
    if (answer.kind === "lost") throw new WaitingError();
    if (answer.kind === "granted")
      return { id, token, held: limits.filter(({ window }) => window === 0).map(({ name }) => name) };
    // A job whose deadline passes while it is parked is taken again, and ends with its TimeoutError.
    const { deadline = Infinity } = job.data;
    const wait = Math.max(1, Math.ceil(Math.min(answer.until, deadline) - this.#engine.now()));
    await untilDone(this.#engine, () => job.moveToDelayed(Date.now() + wait, token));
    // A slot that was freed before the job was parked has woken nobody.
    await untilAnswered(this.#engine, () => this.#engine.limits.wake(this.#laneName, names));
    throw new DelayedError();
  }

  /** Frees the slots of a run that has ended or was handed back. The end of the job does not wait for that. */
  leave({ id, token, held }: TakenSlots, isBack: boolean): void {
    if (held.length === 0) return;
    // If the engine refuses, the slots are free as soon as the job has no lock.
    const release = untilAnswered(this.#engine, () =>
      this.#engine.limits.release(this.#laneName, id, token, held, isBack),
    ).catch(() => {});
    this.#releases.add(release);
    void release.finally(() => this.#releases.delete(release));
  }

  /** Resolves when the slots of all runs that have left are free. */
  async settled(): Promise<void> {
    await Promise.all(this.#releases);
  }
}

function termsOf(job: BullJob, task: RunnableTask["task"], args: readonly unknown[]): AskedLimit[] {
  const { pack, limitKey } = job.data;
  try {
    // The key of an older submission counts for nothing if the task has no limit with keys any more.
    const key = task.limits?.some((limit) => limit.key !== undefined) === true ? limitKey : undefined;
    return limitTerms(task, pack === true ? firstCall(args) : args, key);
  } catch (error) {
    throw new StoredFailure(error, { final: true });
  }
}
