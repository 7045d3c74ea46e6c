import { randomUUID } from "node:crypto";
import type { ExternalTask } from "@taskloom/loop";
import { RemoteTask } from "@taskloom/queue";
import type { TaskQueue } from "@taskloom/queue";
import {
  cancelStored,
  decodeValue,
  encodeValue,
  LaneQueues,
  terminateStored,
  untilAnswered,
} from "@taskloom/queue/lane";
import type { Json } from "@taskloom/queue/wire";
import type { SignalDefinition } from "../authoring/signals.ts";
import type { UpdateDefinition } from "../authoring/updates.ts";
import type { ViewDefinition } from "../authoring/views.ts";
import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import { WorkflowUsageError } from "../errors.ts";
import { readViewText } from "../journal/view-text.ts";
import { historyTick } from "../operate/history.ts";
import type { HistoryTick } from "../operate/history.ts";
import { logPages } from "../operate/read-log.ts";
import { readRun } from "../operate/read-run.ts";
import type { RunSnapshot } from "../operate/read-run.ts";
import { runAddress } from "../operate/run-address.ts";
import type { RunAddress } from "../operate/run-address.ts";
import { deliver, endedRun, unknownRun } from "./deliver.ts";
import { sendUpdate } from "./sent-update.ts";

/** The pause between two looks of {@link WorkflowRun.views}, and between two tries of a terminate. */
const VIEW_INTERVAL_MS = 250;
const TERMINATE_PAUSE_MS = 200;

/** The options of {@link WorkflowRun.with}. */
export interface SendOptions {
  /**
   * The name of a signal, of 1 to 200 characters. A signal whose key one of the last 100 deliveries to the run has is stored
   * already, and is not stored again: a sender that died before it had an answer sends it again.
   */
  readonly key?: string;
}

/** The longest {@link SendOptions.key}. */
const MAX_KEY = 200;

/** A durable run as others see it: {@link workflowRun} makes it. It holds nothing open, and needs no worker to read. */
export class WorkflowRun<R> {
  readonly #queue: TaskQueue;
  readonly #task: RemoteTask<R> | undefined;
  readonly #chosen: string;
  readonly #options: SendOptions;

  /** @internal */
  constructor(queue: TaskQueue, task: RemoteTask<R> | undefined, id: string, options: SendOptions = {}) {
    this.#queue = queue;
    this.#task = task;
    this.#chosen = id;
    this.#options = options;
  }

  /**
   * Returns the same run, whose {@link signal} has these options.
   *
   * @throws {@link WorkflowUsageError} for a key that is no text of 1 to 200 characters.
   * @example
   * ```ts
   * import { TaskQueue } from "@taskloom/queue";
   * import { defineSignal, workflowRun } from "@taskloom/workflow";
   *
   * const paid = defineSignal<{ cents: number }>("paid");
   * await using queue = new TaskQueue({ engine: "memory:" });
   * const order = workflowRun(queue, "workflow.order-7").with({ key: "payment-93" });
   * // The provider reports a payment until it has an answer; the run receives it once.
   * await order.signal(paid, { cents: 1250 }).catch((error: Error) => console.log(error.name)); // RunUnknownError
   * ```
   */
  with(options: SendOptions): WorkflowRun<R> {
    const { key } = options;
    if (key !== undefined && (typeof key !== "string" || key.length === 0 || key.length > MAX_KEY))
      throw new WorkflowUsageError(
        `Expected a key of 1 to ${MAX_KEY} characters, got ${JSON.stringify(key)?.slice(0, 80)}`,
      );
    return new WorkflowRun(this.#queue, this.#task, this.#chosen, { ...this.#options, ...options });
  }

  /** The id of the run's job. */
  get id(): string {
    return this.#task?.id ?? this.#chosen;
  }

  get #address(): RunAddress {
    return runAddress({ queue: this.#queue.name, id: this.id });
  }

  /** Resolves when the engine has the job, so that a signal right after the submission finds it. */
  async #submitted(): Promise<void> {
    if (this.#task !== undefined && !this.#task.done()) await this.#task.sent();
    await this.#queue.engine.connect();
  }

  /**
   * Sends a signal. It is stored when the promise resolves. Signals of one sender arrive in their order if each is awaited. A
   * call stores one signal, also if the engine's answer is lost and it sends again; a new call stores another one, unless it
   * has the same key ({@link with}).
   *
   * @throws {@link RunUnknownError} if there is no such run, {@link RunEndedError} if it has ended, {@link RunFullError} if
   *   it has not read 10 000 others, WireError for a payload that cannot be sent.
   */
  async signal<T>(
    signal: SignalDefinition<T>,
    ...[payload]: undefined extends T ? [payload?: T] : [payload: T]
  ): Promise<void> {
    const encoded = encodeValue(payload, { name: `payload of signal ${signal.name}` }) as never;
    await this.#submitted();
    const { key: chosen } = this.#options;
    const key = chosen === undefined ? `s:${randomUUID()}` : `k:${chosen}`;
    await deliver(this.#queue.engine, this.#address, ["s", signal.name, encoded, key], key);
  }

  /**
   * Sends an update, and returns the task of its answer: the value or the error of the handler. A cancel of the task, as by
   * `timeout`, ends the waiting; the handler continues. The answer survives a lost reply and a crash of the worker.
   *
   * The task fails with a {@link RunUnknownError}, a {@link RunFullError}, or with a {@link RunEndedError} if the run ends
   * before it answers.
   *
   * @throws WireError for arguments that cannot be sent.
   */
  update<A extends unknown[], R2>(update: UpdateDefinition<A, R2>, ...args: A): ExternalTask<R2> {
    const { engine } = this.#queue;
    const encoded = encodeValue(args, { name: `arguments of update ${update.name}` }) as never;
    const sent = { name: update.name, args: encoded, submitted: () => this.#submitted() };
    const id = `${engine.replies.address}#${randomUUID()}`;
    return sendUpdate(engine, this.#address, { ...sent, id }) as ExternalTask<R2>;
  }

  /** Reads the present value of a view; undefined before the run has set it. */
  async view<T>(view: ViewDefinition<T>): Promise<T | undefined> {
    const encoded = await this.#encodedView(view.name);
    return encoded === undefined ? undefined : (decodeValue(encoded) as T);
  }

  async #encodedView(name: string): Promise<Json | undefined> {
    const { engine } = this.#queue;
    const { lane, stored } = this.#address;
    await this.#submitted();
    const [text] = await untilAnswered(engine, () => engine.journal.view(lane, [stored]));
    return readViewText(text).v[name];
  }

  /**
   * Yields the value of a view, and each later value, until the run has ended. Values that change faster than about four
   * times a second are skipped; the last one is not.
   *
   * @throws {@link RunUnknownError} if there is no such run.
   */
  async *views<T>(view: ViewDefinition<T>): AsyncGenerator<T, void, undefined> {
    let last: string | undefined;
    for (let isFirst = true; ; isFirst = false) {
      const kind = await this.#kind();
      if (kind === "missing" && isFirst) throw unknownRun(this.id, this.#address.lane);
      // The last view is stored before the end, so it is read after the look at the state.
      const encoded = await this.#encodedView(view.name);
      const text = JSON.stringify(encoded);
      if (encoded !== undefined && text !== last) {
        last = text;
        yield decodeValue(encoded) as T;
      }
      if (kind !== "pending") return;
      await new Promise((resolve) => setTimeout(resolve, VIEW_INTERVAL_MS));
    }
  }

  async #kind(): Promise<"missing" | "pending" | "finished"> {
    const { engine } = this.#queue;
    const { lane, stored } = this.#address;
    await this.#submitted();
    const [job] = await untilAnswered(engine, () => engine.lookup(lane, [stored]));
    return job?.kind ?? "missing";
  }

  /** Reads the history of the run, or of its present part after `continueAs`, with decoded values. */
  async history(): Promise<HistoryTick[]> {
    await this.#submitted();
    const ticks: HistoryTick[] = [];
    for await (const page of logPages(this.#queue.engine, this.#address)) {
      for (const text of page) ticks.push(historyTick(text, ticks.length));
    }
    return ticks;
  }

  /**
   * Asks the run to end: its code receives a CancelledError where it waits, and cleans up. Resolves when the request is
   * stored.
   *
   * @throws {@link RunUnknownError} if there is no such run, {@link RunEndedError} if it has ended.
   */
  async cancel(message = ""): Promise<void> {
    await this.#onLanes(async (lanes) => {
      if ((await this.#kind()) === "missing") throw unknownRun(this.id, this.#address.lane);
      const key = `c:${randomUUID()}`;
      for (;;) {
        const result = await untilAnswered(lanes.engine, () =>
          cancelStored(lanes, "workflow", this.id, message, key),
        );
        if (result === "delivered") return;
        if (result === "ended") throw endedRun(this.id);
        await new Promise((resolve) => setTimeout(resolve, TERMINATE_PAUSE_MS));
      }
    });
  }

  /**
   * Ends the run as cancelled, at once: no code of the run is executed any more, its clean-up included. Resolves when the
   * end is stored.
   *
   * @throws {@link RunUnknownError} if there is no such run.
   */
  async terminate(message = ""): Promise<void> {
    await this.#onLanes(async (lanes) => {
      if ((await this.#kind()) === "missing") throw unknownRun(this.id, this.#address.lane);
      while ((await this.#kind()) === "pending") {
        const result = await untilAnswered(lanes.engine, () =>
          terminateStored(lanes, "workflow", this.id, message),
        );
        if (result === "ended") return;
        await new Promise((resolve) => setTimeout(resolve, TERMINATE_PAUSE_MS));
      }
    });
  }

  async #onLanes(use: (lanes: LaneQueues) => Promise<void>): Promise<void> {
    await this.#submitted();
    const lanes = new LaneQueues(this.#queue.engine, this.#queue.name);
    try {
      await use(lanes);
    } finally {
      await lanes.close();
    }
  }

  /** Returns a task that waits for the end of the run. A cancel of the task cancels the run. */
  result(): RemoteTask<R> {
    return this.#queue.attach(this.id) as RemoteTask<R>;
  }

  /**
   * Reads the state of the run and of its journal.
   *
   * @throws {@link RunUnknownError} if there is no such run.
   */
  async status(): Promise<RunSnapshot> {
    await this.#submitted();
    const run = await readRun(this.#queue.engine, [this.#queue.name], this.id);
    if (run === undefined) throw unknownRun(this.id, this.#address.lane);
    return run;
  }
}

/**
 * Returns a run for signals, updates and reads: the run of a submission, of an id, or of a workflow and the id that its
 * submitter chose.
 *
 * @throws {@link WorkflowUsageError} if the task or the id is not that of a durable run.
 * @example
 * ```ts
 * import { TaskQueue } from "@taskloom/queue";
 * import { defineSignal, workflowRun } from "@taskloom/workflow";
 *
 * const approved = defineSignal<{ by: string }>("approved");
 * await using queue = new TaskQueue({ engine: "memory:" });
 * const order = workflowRun(queue, "workflow.order-7");
 * try {
 *   await order.signal(approved, { by: "ada" });
 * } catch (error) {
 *   console.log((error as { code?: string }).code); // RUN_UNKNOWN
 * }
 * ```
 */
export function workflowRun<R>(queue: TaskQueue, task: RemoteTask<R>): WorkflowRun<R>;
export function workflowRun(queue: TaskQueue, id: string): WorkflowRun<unknown>;
export function workflowRun<A extends unknown[], R>(
  queue: TaskQueue,
  workflow: WorkflowDefinition<A, R>,
  id: string,
): WorkflowRun<Awaited<R>>;
export function workflowRun(
  queue: TaskQueue,
  of: RemoteTask<unknown> | string | WorkflowDefinition,
  chosen = "",
): WorkflowRun<unknown> {
  const task = of instanceof RemoteTask ? of : undefined;
  const id = typeof of === "string" ? of : (task?.id ?? `workflow.${chosen}`);
  if (!id.startsWith("workflow.")) {
    throw new WorkflowUsageError(
      `Expected a durable run (workflow.…), got ${JSON.stringify(id)}; for an id that you chose, pass the workflow too: workflowRun(queue, workflow, id)`,
    );
  }
  return new WorkflowRun(queue, task, id);
}
