import { ExternalTask } from "@taskloom/loop";
import type { CancelledError } from "@taskloom/loop";
import type { StoredJobState } from "../operate/job-states.ts";

/** The requests of a RemoteTask to the client that made it. */
export interface RemoteTaskControl {
  cancel(id: string, error: CancelledError): void;
  knows(id: string): boolean;
  /** Resolves with true when the engine has confirmed the job, and with false when it has ended without that. */
  sent(id: string): Promise<boolean>;
  state(id: string): Promise<RemoteTaskState>;
  logs(id: string): Promise<string[]>;
}

/** The state of a job: BullMQ's states, and `cancelled`, which is Taskloom's. */
export type RemoteTaskState = StoredJobState;

/**
 * A Task whose body runs on a worker: in another process, perhaps on another machine.
 *
 * A RemoteTask is awaited, cancelled, gathered and given deadlines like every other Task. A cancellation of the task, or
 * of the scope that waits for it, cancels the job in any state. The task ends when the end of the job is stored, when
 * its queue is closed, or when the engine has lost the job.
 */
export class RemoteTask<T, P = unknown> extends ExternalTask<T> {
  #id: string;
  /** The number of attempts so far, as far as this process knows. It is certain when the task is done. */
  attempts = 0;
  readonly #control: RemoteTaskControl;
  /** Called once, when the client has taken the submission in order to send it. */
  #onTaken: (() => void)[] | undefined;

  /** Called by {@link TaskQueue}. */
  constructor(id: string, taskName: string, control: RemoteTaskControl, isLocal: boolean) {
    super({
      name: id,
      description: taskName,
      requestCancel: (error) => control.cancel(this.#id, error),
      isOutside: !isLocal,
    });
    this.#id = id;
    this.#control = control;
  }

  /**
   * Resolves when the engine has confirmed the job, so that the job outlives this process, or when the job has ended.
   *
   * @throws the error of the task if the job could not be sent, such as a {@link TaskArgumentsError} for arguments that
   *   its schema refuses.
   */
  async sent(): Promise<void> {
    // The client does not know the submission while an asynchronous schema checks its arguments.
    if (!this.done() && !this.#control.knows(this.id)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      (this.#onTaken ??= []).push(resolve);
      this.addDoneCallback(() => resolve());
      await promise;
    }
    if (await this.#control.sent(this.id)) return;
    const error = this.exception();
    if (error !== undefined) throw error;
  }

  /** The id of the job. `queue.attach(id)` finds the job from any process. */
  get id(): string {
    return this.#id;
  }

  /** @internal Called when the client has taken the submission. */
  taken(): void {
    for (const notify of this.#onTaken ?? []) notify();
    this.#onTaken = undefined;
  }

  /** @internal Fails a task that its submitter never receives, since the submission was refused. */
  abandon(reason: unknown): void {
    this.disregard();
    this.fail(reason);
  }

  /** @internal Lets the task fail without a report of an error that was never retrieved, if nobody waits for it. */
  disregard(): void {
    this.then(undefined, () => {});
  }

  /** @internal Changes the id to that of the job that the submission turned out to be. */
  rebind(id: string): void {
    this.#id = id;
  }

  /** Reads the state of the job from the engine. */
  state(): Promise<RemoteTaskState> {
    return this.#control.state(this.id);
  }

  /** Reads the lines that the job has logged with `currentJob().log(…)`, the oldest first. */
  logs(): Promise<string[]> {
    return this.#control.logs(this.id);
  }

  /**
   * Calls `listener` with each progress value of the job. Returns a function that removes the listener. The type is that of the
   * task's `progress`.
   */
  override onProgress(listener: (value: P) => void): () => void {
    // Another release of the task can report values of another type: they are checked by nobody, as results are.
    return super.onProgress((value) => listener(value as P));
  }

  /** Yields the progress from now until the end. A value that arrives while the reader is busy replaces an unread one. */
  async *progress(): AsyncGenerator<P, void, undefined> {
    let latest: { value: P } | undefined;
    let wake = (): void => {};
    const stop = this.onProgress((value) => {
      latest = { value };
      wake();
    });
    this.addDoneCallback(() => wake());
    try {
      while (true) {
        if (latest !== undefined) {
          const { value } = latest;
          latest = undefined;
          yield value;
        } else if (this.done()) {
          return;
        } else {
          await new Promise<void>((resolve) => (wake = resolve));
        }
      }
    } finally {
      stop();
    }
  }
}
