import { randomUUID } from "node:crypto";
import type { Database } from "../database/database.ts";
import { endsWait } from "../operations/claim.ts";
import type { Claim, Claimed } from "../operations/claim.ts";

/** The longest time that a timer of Node can wait. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * The wait of one worker for a job. BullMQ waits first, and claims a job once the wait has ended. Here the database
 * thread claims the job as soon as there is one, and the worker's claim receives it without another message to the
 * thread. The token of the worker's run is not known before that claim, so the lock has a token of its own until then.
 */
export class JobWaiter {
  readonly #database: Database;
  readonly #queue: string;
  /** The answer for the worker's next claim, and the token of its lock. */
  #answer: { readonly claimed: Claimed; readonly token: string } | undefined;
  #cancel: (() => void) | undefined;
  #waiting: Promise<boolean> | undefined;
  #isInterrupted = false;

  constructor(database: Database, queue: string) {
    this.#database = database;
    this.#queue = queue;
  }

  /**
   * Resolves with true when the worker should claim a job, and with false after `ms` milliseconds or an interruption.
   *
   * @param claimOf returns the terms of a claim under a token.
   */
  async wait(ms: number, claimOf: (token: string) => Claim): Promise<boolean> {
    if (this.#database.ended !== undefined || this.#isInterrupted) return false;
    if (this.#answer !== undefined) return true;
    this.#waiting = this.#begin(ms, claimOf);
    return await this.#waiting;
  }

  #begin(ms: number, claimOf: (token: string) => Claim): Promise<boolean> {
    return new Promise((resolve) => {
      const token = randomUUID();
      let until = Date.now() + ms;
      let timer: NodeJS.Timeout | undefined;
      const end = (hasAnswer: boolean): void => {
        clearTimeout(timer);
        this.#cancel = undefined;
        resolve(hasAnswer);
      };
      const endAwait = this.#database.awaitJob(this.#queue, claimOf(token), (claimed) => {
        if (claimed === undefined) end(this.#database.ended === undefined);
        else if (endsWait(claimed)) {
          this.#answer = { claimed, token };
          end(true);
        } else if (claimed[3] < until) setTimer(claimed[3]);
      });
      const stop = async (): Promise<void> => {
        clearTimeout(timer);
        // If a claim was faster, it has ended the wait.
        if (await endAwait()) end(false);
      };
      function setTimer(time: number): void {
        until = time;
        clearTimeout(timer);
        const left = until - Date.now();
        // Without a timer: the news of a due job can come after the clock has moved, and a simulated clock may stand still.
        if (left <= 0) queueMicrotask(() => void stop());
        else timer = setTimeout(() => void stop(), Math.min(left, MAX_TIMER_MS));
      }
      this.#cancel = () => void stop();
      setTimer(until);
    });
  }

  /** Returns the answer that ended the wait, once. From then on the lock of its job has the token of the run. */
  take(token: string): Claimed | undefined {
    const answer = this.#answer;
    if (answer === undefined) return undefined;
    this.#answer = undefined;
    const [job, id] = answer.claimed;
    if (job !== null) this.#database.callLater("renameLock", this.#queue, id, answer.token, token);
    return answer.claimed;
  }

  /** Ends the current wait. */
  cancel(): void {
    this.#cancel?.();
  }

  /** Ends the current wait, and refuses further ones until {@link JobWaiter.resume}. */
  interrupt(): void {
    this.#isInterrupted = true;
    this.cancel();
  }

  resume(): void {
    this.#isInterrupted = false;
  }

  /** Whether a wait has ended with an answer that the worker has not taken. */
  get hasAnswer(): boolean {
    return this.#answer !== undefined;
  }

  /** Whether a worker waits, or has not claimed the job that ended its wait. */
  get isHeld(): boolean {
    return this.#cancel !== undefined || this.#answer !== undefined;
  }

  /** Ends the wait, and puts a job back that its worker has not claimed. */
  async close(): Promise<void> {
    this.cancel();
    await this.#waiting;
    const answer = this.#answer;
    this.#answer = undefined;
    if (answer === undefined || answer.claimed[0] === null) return;
    await this.#database.call("undoClaim", this.#queue, answer.claimed[1], answer.token);
  }
}
