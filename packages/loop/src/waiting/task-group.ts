import { CancelledError, UsageError } from "../errors.ts";
import { describe } from "../describe.ts";
import { Coroutine } from "../task/coroutine.ts";
import { requireStrand } from "../task/current.ts";
import type { Future } from "../task/future.ts";
import { FULFILLED } from "../task/states.ts";
import { openBody } from "../task/open.ts";
import type { Awaitable, Startable } from "../task/open.ts";
import type { DeadlineScope, Strand } from "../task/strand.ts";
import type { Task, TaskOptions } from "../task/task.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";

/**
 * The argument of the body of a `taskGroup`. A group ends when its body and all its tasks have ended. The
 * first error cancels the rest.
 *
 * As in Python, the group cancels its parent by at most one request (`#isParentCancelRequested`) and
 * withdraws exactly that request.
 *
 * ```ts
 * import { run, sleep, taskGroup } from "@taskloom/loop";
 *
 * await run(() =>
 *   taskGroup(async (group) => {
 *     group.createTask(sleep(1), { name: "first" });
 *     const second = group.createTask(sleep(2, "second"));
 *     console.log(await second); // second
 *   }),
 * );
 * ```
 */
export class TaskGroup {
  readonly #strand: Strand;
  readonly #scope: DeadlineScope | null;
  readonly #tasks = new Set<Task<unknown>>();
  #errors: unknown[] = [];
  #isExiting = false;
  #isAborting = false;
  #isParentCancelRequested = false;
  #completed: Future<unknown> | null = null;

  /** Made by the library. */
  constructor(strand: Strand) {
    this.#strand = strand;
    this.#scope = strand._scope;
  }

  /**
   * Starts a task in the group.
   *
   * @throws {@link UsageError} if the group is finished or shutting down.
   */
  createTask<T>(work: Startable<T>, options: TaskOptions = {}): Task<T> {
    if (this.#isExiting && this.#tasks.size === 0) this.#refuse(work, "is finished");
    if (this.#isAborting) this.#refuse(work, "is shutting down");
    const task = this.#strand._loop.createTask(work, options);
    task._scope = this.#scope;
    if (task.done()) this.#taskDone(task);
    else {
      this.#tasks.add(task);
      task._addLink(this.#taskDone, this.#strand);
    }
    return task;
  }

  #refuse(work: unknown, why: string): never {
    if (work instanceof Coroutine) work.close();
    throw new UsageError(
      "TASK_GROUP_CLOSED",
      `this TaskGroup ${why}: start the task before, or in another group`,
    );
  }

  #abort(): void {
    this.#isAborting = true;
    for (const task of this.#tasks) if (!task.done()) task.cancel();
  }

  readonly #taskDone = (task: Task<unknown>): void => {
    this.#tasks.delete(task);
    const completed = this.#completed;
    if (completed !== null && this.#tasks.size === 0 && !completed.done()) completed.setResult(true);
    if (task.cancelled() || task._state === FULFILLED) return;
    const error = task.exception();
    this.#errors.push(error);
    const parent = this.#strand;
    if (parent._task.done()) {
      parent._loop.callExceptionHandler({
        message: `Task ${describe(task)} has errored out but its parent task ${describe(parent._task)} is already completed`,
        exception: error,
        task,
      });
      return;
    }
    if (!this.#isAborting && !this.#isParentCancelRequested) {
      this.#abort();
      this.#isParentCancelRequested = true;
      parent.cancel();
    }
  };

  /** @internal Waits for the tasks, and throws the errors of the scope. */
  *_exit(failed: boolean, error: unknown): Generator<never, void, unknown> {
    this.#isExiting = true;
    const strand = this.#strand;
    const isCancelled = failed && error instanceof CancelledError;
    let cancellation: unknown = isCancelled ? error : undefined;
    if (failed && !this.#isAborting) this.#abort();
    while (this.#tasks.size > 0) {
      this.#completed ??= strand._loop.createFuture();
      try {
        yield* this.#completed;
      } catch (thrown) {
        if (!(thrown instanceof CancelledError)) throw thrown;
        if (!this.#isAborting) {
          cancellation = thrown;
          this.#abort();
        }
      }
      this.#completed = null;
    }
    if (this.#isParentCancelRequested && strand._withdraw() === 0) cancellation = undefined;
    if (cancellation !== undefined && this.#errors.length === 0) throw cancellation;
    if (failed && !isCancelled) this.#errors.push(error);
    if (this.#errors.length === 0) return;
    if (strand._requests() > 0) strand._recancel();
    const errors = this.#errors;
    this.#errors = [];
    throw new AggregateError(
      errors,
      `unhandled errors in a TaskGroup (${errors.length} sub-exception${errors.length === 1 ? "" : "s"})`,
    );
  }
}

/** The body of a `taskGroup`. */
export type TaskGroupBody<T> = (group: TaskGroup) => Awaitable<T>;

/**
 * Runs `body(group)`, and ends when the body and all tasks of the group have ended. If a task or the body
 * fails, the rest is cancelled, and an AggregateError with all errors is thrown. Returns the body's value.
 *
 * ```ts
 * import { run, sleep, taskGroup } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const [a, b] = await taskGroup(async (group) => [
 *     group.createTask(sleep(2, 1)),
 *     group.createTask(sleep(1, 2)),
 *   ] as const);
 *   console.log(a.result() + b.result()); // 3
 * });
 * ```
 */
export function taskGroup<T>(body: TaskGroupBody<T>, options: SignalOption = {}): Coroutine<T> {
  return routine(
    "taskGroup",
    function* () {
      const strand = requireStrand("TaskGroup");
      const group = new TaskGroup(strand);
      let value: T;
      try {
        value = (yield* openBody(strand, body, [group])) as T;
      } catch (error) {
        yield* group._exit(true, error);
        throw error;
      }
      yield* group._exit(false, undefined);
      return value;
    },
    options.signal,
  );
}
