import { CancelledError, sleep } from "@taskloom/loop";
import { TaskQueue, call } from "@taskloom/queue";
import type { RemoteTask } from "@taskloom/queue";
import { failing, item, parent, quick, stumbling, threaded, tick } from "./tasks.ts";

/** The correct end of a submission. */
export type Expected =
  /** Its own value: `KEY of ID`. */
  | "own"
  /** The value of the job that it was folded into: `ANY KEY of ID`. */
  | "folded"
  /** Cancelled, or its own value when the cancel came too late. */
  | "cancelled"
  /** The error `KEY failed`. */
  | "failed"
  /** Its own value, followed by the own values of its two children. */
  | "flow";

/** A submission and its end, as the submitter received them. */
export interface Submitted {
  readonly key: string;
  readonly kind: string;
  readonly expected: Expected;
  readonly task: RemoteTask<unknown>;
  /** The children of a flow. */
  readonly children: readonly RemoteTask<unknown>[];
  /** Whether the engine had confirmed the job before it ended. */
  acknowledged: boolean;
  outcome?: { readonly value: unknown } | { readonly error: unknown };
}

/** The number of submissions of a client that are pending at once. */
const pendingAtOnce = 60;

/**
 * A client that keeps a mixed load on a queue: both lanes, delays, retries, failures, deduplication, chosen ids,
 * cancels, flows, packs and a schedule. The mix follows from the seed; the pace follows from the workers.
 */
export class ChaosClient {
  readonly queue: TaskQueue;
  readonly submitted: Submitted[] = [];
  /** The items of packs with a wrong result. */
  readonly wrongItems: string[] = [];
  /** Packs that failed as a whole, with the reason. */
  readonly failedPacks: unknown[] = [];
  readonly scheduleKey: string;
  readonly #name: string;
  readonly #random: () => number;
  readonly #maps = new Set<Promise<void>>();
  #count = 0;
  #pending = 0;
  #wake: (() => void) | undefined;

  constructor(engine: string, name: string, seed: number) {
    this.queue = new TaskQueue({ engine });
    this.#name = name;
    this.#random = seeded(seed);
    this.scheduleKey = `${name}-tick`;
  }

  /** Creates the schedule; called before the faults begin. */
  async prepare(): Promise<void> {
    await this.queue.schedule(this.scheduleKey, { every: 500 }, tick, this.scheduleKey);
  }

  /** Submits until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#wake?.());
    while (!signal.aborted) {
      while (this.#pending < pendingAtOnce && !signal.aborted) this.#submitOne();
      await new Promise<void>((resolve) => (this.#wake = resolve));
      // A refused submission ends at once. Without this pause, the loop would submit without limit while the
      // engine refuses.
      await sleep(10);
    }
  }

  /** Waits until every submission has ended; resolves with the submissions that are still pending after `ms`. */
  async settle(ms: number): Promise<Submitted[]> {
    const all = Promise.allSettled([...this.submitted.map(({ task }) => task), ...this.#maps]);
    const timer = sleep(ms);
    await Promise.race([all, timer]);
    return this.submitted.filter(({ outcome }) => outcome === undefined);
  }

  async close(): Promise<void> {
    await this.queue.close();
  }

  #submitOne(): void {
    const key = `${this.#name}-${this.#count++}`;
    const roll = this.#random();
    const short = Math.floor(this.#random() * 30);
    const { queue } = this;
    if (roll < 0.4) this.#track(key, "loop", "own", queue.submit(quick, key, short));
    else if (roll < 0.55) this.#track(key, "thread", "own", queue.submit(threaded, key, short));
    else if (roll < 0.62) {
      const delay = Math.floor(this.#random() * 1_500);
      this.#track(key, "delayed", "own", queue.with({ delay }).submit(quick, key, short));
    } else if (roll < 0.7) this.#track(key, "retried", "own", queue.submit(stumbling, key));
    else if (roll < 0.76) this.#track(key, "failing", "failed", queue.submit(failing, key));
    else if (roll < 0.81) {
      const deduplicate = `${this.#name}-${Math.floor(this.#random() * 3)}`;
      this.#track(key, "deduplicated", "folded", queue.with({ deduplicate }).submit(quick, key, short));
    } else if (roll < 0.86) {
      const twice = queue.with({ id: key, priority: 1 + Math.floor(this.#random() * 3) });
      this.#track(key, "id", "own", twice.submit(quick, key, short));
      this.#track(key, "id", "own", twice.submit(quick, key, short));
    } else if (roll < 0.93) {
      const task = this.#random() < 0.5 ? queue.submit(quick, key, 400) : queue.submit(threaded, key, 400);
      this.#track(key, "cancelled", "cancelled", task);
      setTimeout(() => task.cancel("chaos"), this.#random() * 600);
    } else if (roll < 0.98) {
      const children = [call(quick, `${key}-a`, short), call(threaded, `${key}-b`, short)];
      const flow = queue.flow(call(parent, key), children);
      this.#track(key, "flow", "flow", flow, flow.children);
    } else this.#map(key);
  }

  #track(
    key: string,
    kind: string,
    expected: Expected,
    task: RemoteTask<unknown>,
    children: readonly RemoteTask<unknown>[] = [],
  ): void {
    const submitted: Submitted = { key, kind, expected, task, children, acknowledged: false };
    for (const child of children) child.catch(() => {}); // A child's error belongs to its parent.
    this.submitted.push(submitted);
    this.#pending++;
    task.sent().then(
      () => (submitted.acknowledged ||= submitted.outcome === undefined || "value" in submitted.outcome),
      () => {},
    );
    task.addDoneCallback(() => {
      submitted.outcome = task.cancelled()
        ? { error: new CancelledError() }
        : task.exception() === undefined
          ? { value: task.result() }
          : { error: task.exception() };
      this.#pending--;
      this.#wake?.();
    });
  }

  #map(key: string): void {
    const keys = Array.from({ length: 30 }, (_, index) => `${key}-${index}`);
    const results = this.queue.map(
      item,
      keys.map((each): [string] => [each]),
      { chunkSize: 10 },
    );
    const read = async (): Promise<void> => {
      let index = 0;
      for await (const settled of results.settled()) {
        const wanted = keys[index++];
        if (settled.status === "rejected") this.failedPacks.push(settled.reason);
        else if (settled.value !== wanted) this.wrongItems.push(`${wanted}: ${settled.value}`);
      }
      if (index !== keys.length) this.wrongItems.push(`${key}: ${index} of ${keys.length} items`);
    };
    this.#pending++;
    const reading = read().finally(() => {
      this.#pending--;
      this.#wake?.();
    });
    this.#maps.add(reading);
  }
}

/** Returns a generator of numbers from 0 to 1, the same for the same seed (Park and Miller's generator). */
export function seeded(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
