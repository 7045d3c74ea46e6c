import { didYouMean } from "@taskloom/loop/did-you-mean";
import type { Engine } from "@taskloom/queue";
import { allQueues, whyNotServed } from "@taskloom/queue/operating";
import type { ServingWorker } from "@taskloom/queue/operating";
import { ServiceError } from "../errors/service-error.ts";
import type { Presence } from "../workers/presence.ts";
import type { WorkerView } from "../workers/worker-view.ts";

/** The time for which the tasks and queues of other workers are cached, so that a submission reads no records. */
export const KNOWN_FOR_MS = 2_000;

const isFresh = (read: { readonly at: number }): boolean => performance.now() - read.at < KNOWN_FOR_MS;

/** The queues of an engine, and the live workers that serve them. */
export class KnownQueues {
  readonly #engine: Engine;
  readonly #presence: Presence;
  readonly #configured: readonly string[];
  #names: { readonly at: number; readonly all: Promise<readonly string[]> } | undefined;
  #serving: { readonly at: number; readonly workers: readonly ServingWorker[] } | undefined;

  /** @param configured the queues that exist for the operator even while they are empty. */
  constructor(engine: Engine, presence: Presence, configured: readonly string[]) {
    this.#engine = engine;
    this.#presence = presence;
    this.#configured = configured;
  }

  /** The queue for requests that name none. */
  get default(): string {
    return this.#configured[0] ?? "default";
  }

  isConfigured(queue: string): boolean {
    return this.#configured.includes(queue);
  }

  /**
   * Returns the named queue, or all queues if none is named.
   *
   * @throws {@link ServiceError} with the code `QUEUE_UNKNOWN` for a queue that nobody uses, because reading it would
   * create it.
   */
  async scope(queue: string | undefined): Promise<readonly string[]> {
    if (queue !== undefined && this.isConfigured(queue)) return [queue];
    const cached = this.#names !== undefined && isFresh(this.#names) ? this.#names.all : undefined;
    let names = await (cached ?? this.read());
    if (queue === undefined) return names;
    if (cached !== undefined && !names.includes(queue)) names = await this.read();
    if (names.includes(queue)) return [queue];
    throw new ServiceError(
      404,
      "QUEUE_UNKNOWN",
      `There is no queue ${queue}.${didYouMean(queue, names)} The queues are ${names.join(", ")}`,
    );
  }

  /** Reads the names of all queues. */
  read(serving?: Promise<readonly ServingWorker[]>): Promise<readonly string[]> {
    const all = allQueues(this.#engine, this.#configured, serving);
    this.#names = { at: performance.now(), all };
    all.catch(() => (this.#names = undefined));
    return all;
  }

  /** Returns why no worker runs a task, or undefined. Live workers are read only if the cached ones do not serve it. */
  async whyNotServed(queue: string, task: string): Promise<string | undefined> {
    const cached = this.#serving;
    if (cached !== undefined && isFresh(cached) && whyNotServed(cached.workers, queue, task) === undefined)
      return undefined;
    const workers = await this.#liveWorkers();
    this.#serving = { at: performance.now(), workers };
    return whyNotServed(workers, queue, task);
  }

  /** Returns the workers of the queue's records and of the service's records: either record can be late. */
  async #liveWorkers(): Promise<ServingWorker[]> {
    const [serving, seen] = await Promise.all([this.#engine.serving(), this.#presence.all()]);
    return [...serving, ...seen.filter(({ state }) => state === "running").map(servingOf)];
  }
}

function servingOf({ id, queues, tasks }: WorkerView): ServingWorker {
  return { id, queues, tasks: Object.fromEntries(tasks.map(({ name, version }) => [name, version])) };
}
