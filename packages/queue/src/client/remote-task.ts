import { ExternalTask } from "@taskloom/loop";
import type { CancelledError } from "@taskloom/loop";
import type { StoredJobState } from "../operate/job-states.ts";

/** What a RemoteTask asks of the client that made it. */
export interface RemoteTaskControl {
  cancel(id: string, error: CancelledError): void;
  knows(id: string): boolean;
  sent(id: string): Promise<boolean>;
  state(id: string): Promise<RemoteTaskState>;
  logs(id: string): Promise<string[]>;
}

/** The state of a job: BullMQ's states, and `cancelled`, which is Taskloom's. */
export type RemoteTaskState = StoredJobState;

/**
 * A Task whose body runs on a worker: another process, perhaps another machine.
 *
 * It is awaited, cancelled, given deadlines and gathered like every other Task. Cancelling it, or the scope that waits
 * for it, cancels the job wherever it is. It ends when the job's end is stored, when its queue is closed, or when
 * the engine has lost the job.
 */
export class RemoteTask<T> extends ExternalTask<T> {
  #id: string;
  /** How many attempts were made, as far as is known here; certain when the task is done. */
  attempts = 0;
  readonly #control: RemoteTaskControl;
  /** Called once, when the client has taken the submission; it is on its way from then on. */
  #onTaken: (() => void)[] | undefined;

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
   * Ends when the engine has confirmed the job, so that it outlives this process, or when it has ended already. Fails as
   * the task does when it could not be sent, as with arguments that its schema refuses.
   */
  async sent(): Promise<void> {
    // A schema that takes its time to check arguments holds the submission up: the client does not know it yet.
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

  /** The id under which the engine holds the job; `queue.attach(id)` finds it again from any process. */
  get id(): string {
    return this.#id;
  }

  /** @internal The client has taken its submission. */
  taken(): void {
    for (const tell of this.#onTaken ?? []) tell();
    this.#onTaken = undefined;
  }

  /** @internal Ends a task that its submitter never receives, since its submission was refused. */
  abandon(reason: unknown): void {
    this.then(undefined, () => {});
    this.fail(reason);
  }

  /** @internal It turned out to be a job that was there before. */
  become(id: string): void {
    this.#id = id;
  }

  /** Where the job is now, as the engine has it. */
  state(): Promise<RemoteTaskState> {
    return this.#control.state(this.id);
  }

  /** What the job logged with `currentJob().log(…)`, oldest first. */
  logs(): Promise<string[]> {
    return this.#control.logs(this.id);
  }

  /** Every progress value from now until the end; a value that comes while the reader is busy replaces an unread one. */
  async *progress(): AsyncGenerator<unknown, void, undefined> {
    let latest: { value: unknown } | undefined;
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
