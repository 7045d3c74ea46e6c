import { timeout, TimeoutError } from "@taskloom/loop";
import type { Engine, TaskQueue } from "@taskloom/queue";
import { encodeValue } from "@taskloom/queue/wire";
import { defineSignal, defineUpdate, workflowRun } from "@taskloom/workflow";
import type { WorkflowRun } from "@taskloom/workflow";
import {
  ENCODED,
  historyTick,
  listRuns,
  readLogPage,
  readRun,
  runAddress,
} from "@taskloom/workflow/operating";
import type { HistoryTick, RunPage, RunQuery, RunSnapshot } from "@taskloom/workflow/operating";
import { ServiceError } from "../errors/service-error.ts";
import { viewError } from "./error-view.ts";
import type { ErrorView } from "./error-view.ts";
import type { KnownQueues } from "./known-queues.ts";

/** A durable run in the form for people and programs. */
export interface RunView extends Omit<RunSnapshot, "error"> {
  readonly error?: ErrorView;
}

/** A page of runs. */
export interface RunViewPage extends Omit<RunPage, "runs"> {
  readonly runs: readonly RunView[];
}

/** A search of runs. */
export interface RunSearch extends RunQuery {
  readonly queue?: string;
}

/** The answer to an update; `pending` if there was none in time. */
export type UpdateAnswer =
  | { readonly state: "completed"; readonly value: unknown }
  | { readonly state: "failed"; readonly error: ErrorView }
  | { readonly state: "pending" };

/** The operations on durable runs. */
export interface RunOperations {
  list(search: RunSearch): Promise<RunViewPage>;
  /** @throws {@link ServiceError} with the code `RUN_UNKNOWN` if the run does not exist. */
  show(id: string, queue?: string): Promise<RunView>;
  /** Returns a page of ticks from one on, with values in the wire's JSON; an empty page is the end. */
  history(id: string, from: number, queue?: string): Promise<readonly HistoryTick[]>;
  /** Returns a page of the stored entries, for a replay. */
  log(id: string, from: number, queue?: string): Promise<readonly string[]>;
  /** @param key the name of the signal, with which a repeated one is stored once. */
  signal(id: string, name: string, payload: unknown, queue?: string, key?: string): Promise<void>;
  update(
    id: string,
    name: string,
    args: readonly unknown[],
    milliseconds: number,
    queue?: string,
  ): Promise<UpdateAnswer>;
  cancel(id: string, message: string, queue?: string): Promise<void>;
  terminate(id: string, message: string, queue?: string): Promise<void>;
}

/** Operations on the durable runs of an engine that this process can reach. */
export class EngineRunOperations implements RunOperations {
  readonly #engine: Engine;
  readonly #known: KnownQueues;
  readonly #queue: (name: string) => TaskQueue;

  constructor(engine: Engine, known: KnownQueues, queue: (name: string) => TaskQueue) {
    this.#engine = engine;
    this.#known = known;
    this.#queue = queue;
  }

  async list({ queue, ...query }: RunSearch): Promise<RunViewPage> {
    const page = await listRuns(this.#engine, await this.#known.scope(queue), query);
    return { ...page, runs: page.runs.map(viewRun) };
  }

  async #read(id: string, queue: string | undefined): Promise<RunSnapshot> {
    const queues = await this.#known.scope(queue);
    const run = await readRun(this.#engine, queues, id);
    if (run !== undefined) return run;
    throw new ServiceError(
      404,
      "RUN_UNKNOWN",
      `There is no run ${id} in queue ${queues.join(", ")}; taskloom runs lists the runs`,
    );
  }

  async show(id: string, queue?: string): Promise<RunView> {
    return viewRun(await this.#read(id, queue));
  }

  async log(id: string, from: number, queue?: string): Promise<readonly string[]> {
    const run = await this.#read(id, queue);
    return await readLogPage(this.#engine, runAddress(run), from);
  }

  async history(id: string, from: number, queue?: string): Promise<readonly HistoryTick[]> {
    const page = await this.log(id, from, queue);
    return page.map((text, index) => historyTick(text, from + index, ENCODED));
  }

  async signal(id: string, name: string, payload: unknown, queue?: string, key?: string): Promise<void> {
    await this.#on(id, queue, (run) =>
      run.with(key === undefined ? {} : { key }).signal(defineSignal<unknown>(name), payload),
    );
  }

  async update(
    id: string,
    name: string,
    args: readonly unknown[],
    milliseconds: number,
    queue?: string,
  ): Promise<UpdateAnswer> {
    return await this.#on(id, queue, async (run) => {
      const answer = run.update(defineUpdate<unknown[], unknown>(name), ...args);
      try {
        return { state: "completed", value: encodeValue(await timeout(milliseconds, answer)) } as const;
      } catch (error) {
        const { code } = error as { code?: unknown };
        if (code === "RUN_ENDED" || code === "RUN_FULL" || code === "RUN_UNKNOWN") throw error;
        if (error instanceof TimeoutError && answer.cancelled()) return { state: "pending" } as const;
        return { state: "failed", error: viewError(error) } as const;
      }
    });
  }

  async cancel(id: string, message: string, queue?: string): Promise<void> {
    await this.#on(id, queue, (run) => run.cancel(message));
  }

  async terminate(id: string, message: string, queue?: string): Promise<void> {
    await this.#on(id, queue, (run) => run.terminate(message));
  }

  async #on<T>(
    id: string,
    queue: string | undefined,
    use: (run: WorkflowRun<unknown>) => Promise<T>,
  ): Promise<T> {
    const found = await this.#read(id, queue);
    try {
      return await use(workflowRun(this.#queue(found.queue), found.id));
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      if (code === "RUN_UNKNOWN") throw new ServiceError(404, code, message, { cause: error });
      if (code === "RUN_ENDED" || code === "RUN_FULL")
        throw new ServiceError(409, code, message, { cause: error });
      throw error;
    }
  }
}

function viewRun({ error, ...run }: RunSnapshot): RunView {
  return error === undefined ? run : { ...run, error: viewError(error) };
}
