import { Future } from "@taskloom/loop";

/**
 * The places of one lane of a worker, which jobs of the lane share with the steps of durable runs.
 *
 * Invariants:
 *
 * - At most `capacity` bodies of jobs and steps run at once. They are served in the order in which they came.
 * - A body holds its place while it runs, and nothing else holds one. A durable run never does: a run that waits for a
 *   step or for a job would otherwise keep the place that the step needs.
 * - The lane claims jobs for the places that steps leave over, and at least one. Other workers take the rest of a backlog,
 *   and steps that never cease do not starve the jobs.
 */
export class LaneSlots {
  #capacity: number;
  #taken = 0;
  /** The bodies that wait, in the order in which they came. A Semaphore would not do: it cannot take a permit back. */
  readonly #waiting = new Set<Future<void>>();
  /** The steps that run or wait for a place. */
  #steps = 0;
  #onRoom: (jobs: number) => void = () => {};

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** The number of jobs that the lane may have claimed. */
  get room(): number {
    return Math.max(1, this.#capacity - this.#steps);
  }

  /** The number of steps that run or wait for a place. */
  get steps(): number {
    return this.#steps;
  }

  /** Notifies the lane's worker whenever {@link room} has changed. */
  onRoom(listener: (jobs: number) => void): void {
    this.#onRoom = listener;
  }

  /** Changes the number of places. Bodies that run continue. */
  resize(capacity: number): void {
    this.#changeRoom(() => (this.#capacity = capacity));
    this.#serve();
  }

  /** Runs the body of a job in a place, and waits for one first. */
  async runJob<T>(body: () => T): Promise<Awaited<T>> {
    if (this.#waiting.size === 0 && this.#taken < this.#capacity) this.#taken++;
    else await this.#wait();
    try {
      return await body();
    } finally {
      this.#free();
    }
  }

  /** Runs the body of a step in a place, and waits for one first. */
  async runStep<T>(body: () => T): Promise<Awaited<T>> {
    this.#changeRoom(() => this.#steps++);
    try {
      return await this.runJob(body);
    } finally {
      this.#changeRoom(() => this.#steps--);
    }
  }

  async #wait(): Promise<void> {
    const turn = new Future<void>();
    this.#waiting.add(turn);
    try {
      await turn;
    } catch (error) {
      // A cancel can come after the place was given.
      if (!this.#waiting.delete(turn)) this.#free();
      throw error;
    }
  }

  #free(): void {
    this.#taken--;
    this.#serve();
  }

  #serve(): void {
    for (const turn of this.#waiting) {
      if (this.#taken >= this.#capacity) return;
      // A cancelled body leaves the line by itself.
      if (turn.done()) continue;
      this.#waiting.delete(turn);
      this.#taken++;
      turn.setResult();
    }
  }

  #changeRoom(change: () => void): void {
    const before = this.room;
    change();
    if (this.room !== before) this.#onRoom(this.room);
  }
}
