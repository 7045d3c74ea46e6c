import type { RemoteTask, TaskQueue } from "@taskloom/queue";
import type { Queue } from "bullmq";
import { side } from "./tasks.ts";
import type { Done, Work } from "./work.ts";

/** The end of a submission, as its Taskloom client receives it. */
export type Outcome = { readonly value: Done } | { readonly error: unknown };

/** A job, and the client that has added it. */
export interface AddedWork {
  readonly id: string;
  readonly work: Work;
  readonly client: Done["by"];
  /** The outcome for the Taskloom client; undefined until it is known, and for a job of BullMQ's client. */
  outcome: Outcome | undefined;
}

/** The number of jobs that wait or run at once. */
const PENDING = 60;
/** Every so many jobs fail. */
const FAILS_EVERY = 9;

/** Adds jobs through both clients in turn, as long as few enough are pending. */
export class MixedLoad {
  readonly added: AddedWork[] = [];
  readonly #taskloom: TaskQueue;
  readonly #plain: Queue;

  constructor(taskloom: TaskQueue, plain: Queue) {
    this.#taskloom = taskloom;
    this.#plain = plain;
  }

  /** Whether the outcome of each submission of the Taskloom client is known. */
  get isSettled(): boolean {
    return this.added.every(({ client, outcome }) => client === "bullmq" || outcome !== undefined);
  }

  /** Adds as many jobs as are missing beside those that have not ended. */
  async fill(ended: number): Promise<void> {
    const missing = PENDING - (this.added.length - ended);
    const first = this.added.length;
    await Promise.all(Array.from({ length: Math.max(0, missing) }, (_, at) => this.#add(first + at)));
  }

  async #add(number: number): Promise<void> {
    const work = {
      key: `job-${number}`,
      milliseconds: 10 + (number % 5) * 15,
      fails: number % FAILS_EVERY === 0,
    };
    if (number % 2 === 0) return this.#submit(work);
    const { id } = await this.#plain.add(side.task.name, work);
    this.added.push({ id: id!, work, client: "bullmq", outcome: undefined });
  }

  #submit(work: Work): void {
    const task: RemoteTask<Done> = this.#taskloom.submit(side, work);
    const added: AddedWork = { id: task.id, work, client: "taskloom", outcome: undefined };
    this.added.push(added);
    task.then(
      (value) => (added.outcome = { value }),
      (error: unknown) => (added.outcome = { error }),
    );
  }
}
