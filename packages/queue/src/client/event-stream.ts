import { lanes, publicId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import type { LaneEvents } from "../contract/lane-events.ts";
import { TaskOptionsError } from "../errors.ts";
import type { LaneQueues } from "../operate/lane-queues.ts";
import { decodeValue } from "../wire/decode.ts";
import { outcomeOfResult } from "../wire/outcome.ts";
import { valueOr } from "../value-or.ts";

/** The parts that all events of a job have. */
interface JobEventBase {
  /** The id of the job. */
  readonly id: string;
  readonly lane: Lane;
}

/** An event of a queue; see {@link TaskQueue.events}. */
export type QueueEvent =
  /** The job was stored. */
  | (JobEventBase & { readonly type: "added"; readonly task: string })
  /** The job waits for a worker: it was added, its delay is over, or it was put back or retried. */
  | (JobEventBase & { readonly type: "waiting" })
  /** The job waits for a time, in milliseconds of the epoch. */
  | (JobEventBase & { readonly type: "delayed"; readonly until: number })
  | (JobEventBase & { readonly type: "started" })
  | (JobEventBase & { readonly type: "progress"; readonly value: unknown })
  | (JobEventBase & { readonly type: "completed"; readonly value: unknown })
  | (JobEventBase & { readonly type: "cancelled"; readonly reason: string | undefined })
  /** The job has failed for good. */
  | (JobEventBase & { readonly type: "failed"; readonly message: string })
  /** The worker of the job has died, and the job waits again. */
  | (JobEventBase & { readonly type: "recovered" })
  /** The record of the job was removed. */
  | (JobEventBase & { readonly type: "removed" })
  /** So many events were dropped before the next one, since they were not read in time. */
  | { readonly type: "missed"; readonly count: number };

/** The options of {@link TaskQueue.events}. */
export interface EventOptions {
  /** Ends the iteration. */
  readonly signal?: AbortSignal;
  /** The greatest number of events that wait for the reader. The oldest is dropped for a new one. Default 1,000. */
  readonly buffer?: number;
}

/** The events of a queue, from the call of {@link TaskQueue.events} on. The iteration ends when the queue is closed. */
export class EventStream implements AsyncIterableIterator<QueueEvent> {
  readonly #buffer: number;
  #events: QueueEvent[] = [];
  /** The place of the first event. The places before it are read. */
  #first = 0;
  #missed = 0;
  #isOver = false;
  #wake = (): void => {};
  readonly #ready: Promise<readonly LaneEvents[]>;
  readonly #onEnd: (stream: EventStream) => void;
  #closing: Promise<void> | undefined;

  /** Called by {@link TaskQueue.events}, which describes the errors. */
  constructor(
    queues: LaneQueues,
    { signal, buffer = 1_000 }: EventOptions,
    onEnd: (stream: EventStream) => void,
  ) {
    if (!(Number.isSafeInteger(buffer) && buffer > 0))
      throw new TaskOptionsError(`Expected \`buffer\` to be a whole number above 0, got ${String(buffer)}`);
    this.#buffer = buffer;
    this.#onEnd = onEnd;
    this.#ready = this.#open(queues);
    // A reader that never begins has nobody who receives the error.
    this.#ready.catch(() => {});
    if (signal?.aborted === true) void this.return();
    signal?.addEventListener("abort", () => void this.return(), { once: true });
  }

  async #open(queues: LaneQueues): Promise<readonly LaneEvents[]> {
    const { engine } = queues;
    await engine.connect();
    return await Promise.all(
      lanes.map((lane) =>
        engine.openEvents(queues.nameOf(lane), (event, fields) => {
          const read = eventOf(lane, event, fields);
          if (read !== undefined) this.#push(read);
        }),
      ),
    );
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Resolves when the stream receives each later event; rejects if the engine does not answer. */
  async ready(): Promise<void> {
    await this.#ready;
  }

  #push(event: QueueEvent): void {
    if (this.#isOver) return;
    if (this.#events.length - this.#first >= this.#buffer) {
      this.#first++;
      this.#missed++;
    }
    this.#events.push(event);
    // The places of read events are given up in large steps, so that each event costs the same.
    if (this.#first >= this.#buffer) {
      this.#events = this.#events.slice(this.#first);
      this.#first = 0;
    }
    this.#wake();
  }

  #take(): QueueEvent | undefined {
    if (this.#missed > 0) {
      const count = this.#missed;
      this.#missed = 0;
      return { type: "missed", count };
    }
    return this.#first < this.#events.length ? this.#events[this.#first++] : undefined;
  }

  async next(): Promise<IteratorResult<QueueEvent, undefined>> {
    if (!this.#isOver) await this.#ready;
    for (;;) {
      const event = this.#isOver ? undefined : this.#take();
      if (event !== undefined) return { value: event, done: false };
      if (this.#isOver) return { value: undefined, done: true };
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Ends the iteration, and the connections of it. */
  async return(): Promise<IteratorResult<QueueEvent, undefined>> {
    this.#isOver = true;
    this.#onEnd(this);
    this.#events = [];
    this.#wake();
    this.#closing ??= this.#ready.then(
      async (readers) => void (await Promise.allSettled(readers.map((reader) => reader.close()))),
      () => {},
    );
    await this.#closing;
    return { value: undefined, done: true };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}

/** Returns the event for an event of BullMQ. Any client can have stored it. */
function eventOf(
  lane: Lane,
  event: string,
  { jobId, name, delay, data, returnvalue, failedReason }: Readonly<Record<string, unknown>>,
): QueueEvent | undefined {
  if (typeof jobId !== "string") return undefined;
  const base = { id: publicId(lane, jobId), lane };
  switch (event) {
    case "added":
      return { type: "added", ...base, task: String(name) };
    case "waiting":
    case "removed":
      return { type: event, ...base };
    case "active":
      return { type: "started", ...base };
    case "stalled":
      return { type: "recovered", ...base };
    case "delayed":
      return { type: "delayed", ...base, until: Number(delay) };
    case "progress":
      return { type: "progress", ...base, value: decoded(data) };
    case "failed":
      return { type: "failed", ...base, message: String(failedReason) };
    case "completed": {
      const outcome = outcomeOfResult(returnvalue);
      return outcome.state === "cancelled"
        ? { type: "cancelled", ...base, reason: outcome.message }
        : { type: "completed", ...base, value: decoded(returnvalue) };
    }
    default:
      return undefined;
  }
}

/** BullMQ's own workers store plain values, which decode to themselves or cannot be decoded. */
function decoded(value: unknown): unknown {
  return valueOr<unknown>(() => decodeValue(value), value);
}
