import { getEventLoop } from "@taskloom/loop";
import type { FlowJob, Queue, WorkerOptions } from "bullmq";
import { Lifecycle } from "@taskloom/loop/lifecycle";
import type { LifeState } from "@taskloom/loop/lifecycle";
import { closedEngine } from "../../contract/closed-engine.ts";
import { EngineUnsupportedError } from "../../errors.ts";
import { queueOfLaneName } from "../../contract/lane.ts";
import type { TaskLane } from "../../contract/lane.ts";
import {
  CANCEL_FLAG,
  cancelReasonIn,
  cancellerToken,
  sealOf,
  workerOfToken,
} from "../../contract/cancellation.ts";
import type { CancelAnswer, CancelRequest, SealAnswer } from "../../contract/cancellation.ts";
import type { LaneProcessor } from "../../contract/engine-worker.ts";
import type { Engine } from "../../contract/engine.ts";
import type { LaneEventListener, LaneEvents } from "../../contract/lane-events.ts";
import type { LockTerms } from "../../contract/lock-terms.ts";
import type { KeptSubmission, StoredJob } from "../../contract/stored-job.ts";
import { countedAttempts } from "../../contract/job-record.ts";
import type { FieldLimits, JobRecord, StateOrder, StoredState } from "../../contract/job-record.ts";
import type { EngineWorker } from "../../contract/engine-worker.ts";
import type { FlowAdder, LaneQueue, NewJob } from "../../contract/lane-queue.ts";
import { LocalHistory } from "./local-history.ts";
import { LocalLaneClaims } from "./local-lane-claims.ts";
import { LocalReplies } from "./local-replies.ts";
import { LocalServing } from "./local-serving.ts";
import { LocalLimits } from "./local-limits.ts";
import { LocalJournal } from "./local-journal.ts";
import type { HistoryBucket, HistoryEntry, HistoryRange } from "../../contract/history.ts";
import type { RunJournal } from "../../contract/run-journal.ts";
import type { TaskLimits } from "../../contract/task-limits.ts";
import type { ServingWorker } from "../../contract/serving.ts";
import { isCancelledEnvelope } from "../../wire/outcome.ts";
import { MEMORY_LOCKS } from "../../contract/lock-terms.ts";
import { idsIn, recordOf } from "./job-records.ts";
import type { MemoryJob } from "./memory-job.ts";
import { MemoryLane } from "./memory-lane.ts";
import { MemoryWorker } from "./memory-worker.ts";

/** The memories of this process by name, until the last engine on one is closed. */
const open = new Map<string, Memory>();

/** The state that all engines of one name share. */
interface Memory {
  users: number;
  readonly replies: LocalReplies;
  readonly lanes: Map<string, MemoryLane>;
  readonly journal: LocalJournal;
  readonly limits: LocalLimits;
  readonly laneClaims: LocalLaneClaims;
  readonly serving: LocalServing;
  readonly history: LocalHistory;
  readonly cancelListeners: Map<string, (request: CancelRequest) => void>;
}

/**
 * Jobs in the memory of this process, which run on its loop, and in virtual time if the loop's clock is virtual. The engine
 * has no BullMQ and no timer but the loop's, and nothing survives the process. All engines of a name share one memory. Each
 * engine counts as one user of it, however often it is closed.
 */
export class MemoryEngine implements Engine {
  readonly url: string;
  readonly isLocal = true;
  readonly replies: LocalReplies;
  readonly journal: RunJournal;
  readonly limits: TaskLimits;
  readonly clockOffset = 0;
  readonly locks: LockTerms = MEMORY_LOCKS;
  readonly #shared: Memory;
  readonly #life = new Lifecycle(() => closedEngine(this.url));

  private constructor(url: string, shared: Memory) {
    this.url = url;
    this.#shared = shared;
    this.replies = shared.replies;
    this.journal = shared.journal;
    this.limits = shared.limits;
  }

  /** Returns a new engine of a name. The jobs are dropped when the last engine of the name is closed. */
  static open(url: string): MemoryEngine {
    let memory = open.get(url);
    if (memory === undefined) {
      const lanes = new Map<string, MemoryLane>();
      const laneOf = (name: string): MemoryLane => laneIn(lanes, name);
      const defer = (callback: () => void): void => void getEventLoop().callSoon(callback);
      memory = {
        users: 0,
        replies: new LocalReplies(defer),
        lanes,
        journal: new LocalJournal((name) => lanes.get(name), engineNow, defer),
        limits: new LocalLimits(laneOf, engineNow),
        laneClaims: new LocalLaneClaims(),
        serving: new LocalServing(),
        history: new LocalHistory(),
        cancelListeners: new Map(),
      };
      open.set(url, memory);
    }
    memory.users++;
    return new MemoryEngine(url, memory);
  }

  get state(): LifeState {
    return this.#life.state;
  }

  async connect(): Promise<void> {
    this.#life.assertOpen();
  }

  warnings(): readonly string[] {
    return [];
  }

  defer(callback: () => void): void {
    getEventLoop().callSoon(callback);
  }

  #lane(name: string): MemoryLane {
    return laneIn(this.#shared.lanes, name);
  }

  openQueue(name: string): Queue {
    throw new EngineUnsupportedError(
      `There is no BullMQ queue ${name} behind memory:, so a tool that needs one, such as a dashboard, cannot show it; use embedded: or another engine for that`,
    );
  }

  openLane(name: string): LaneQueue {
    return this.#lane(name);
  }

  async openEvents(laneName: string, listener: LaneEventListener): Promise<LaneEvents> {
    const stop = this.#lane(laneName).onEvent(listener);
    return { close: async () => stop() };
  }

  openWorker(
    name: string,
    processor: LaneProcessor,
    options: Omit<WorkerOptions, "connection">,
  ): EngineWorker {
    return new MemoryWorker(this.#lane(name), processor, options.concurrency ?? 1);
  }

  openFlows(): FlowAdder {
    return { add: async (flow) => void this.#addFlow(flow), close: async () => {} };
  }

  #addFlow(flow: FlowJob): MemoryJob {
    const children = (flow.children ?? []).map((child) => this.#addFlow(child));
    const { name, data, opts, queueName } = flow;
    return this.#lane(queueName).insert(
      { name, data: data as NewJob["data"], opts: opts as NewJob["opts"] },
      children,
    );
  }

  async cancel(laneName: string, id: string, reason: string): Promise<CancelAnswer> {
    const lane = this.#lane(laneName);
    const job = lane.find(id);
    if (job === undefined) return { kind: "gone" };
    if (job.finishedOn !== undefined) return { kind: "done" };
    if (job.token !== undefined && job.deferredFailure === sealOf(job.token, job.attemptsStarted))
      return { kind: "sealed" };
    job.deferredFailure = `${CANCEL_FLAG}${reason}`;
    const token = cancellerToken();
    if (lane.claim(job, token)) return { kind: "claimed", token };
    const run = job.token;
    if (run !== undefined) {
      const { attemptsStarted, processedOn: startedAt } = job;
      this.#shared.cancelListeners.get(workerOfToken(run))?.({
        id,
        token: run,
        attemptsStarted,
        startedAt,
        reason,
      });
    }
    return { kind: "running" };
  }

  async seal(laneName: string, id: string, token: string, attemptsStarted: number): Promise<SealAnswer> {
    const job = this.#lane(laneName).find(id);
    if (job === undefined || job.token !== token) return { kind: "lost" };
    const reason = cancelReasonIn(job.deferredFailure);
    if (reason !== undefined) return { kind: "cancelled", reason };
    job.deferredFailure = sealOf(token, attemptsStarted);
    return { kind: "sealed" };
  }

  onCancelRequest(workerId: string, listener: (request: CancelRequest) => void): () => void {
    this.#shared.cancelListeners.set(workerId, listener);
    return () => this.#shared.cancelListeners.delete(workerId);
  }

  async lookup(laneName: string, ids: readonly string[]): Promise<StoredJob[]> {
    const lane = this.#lane(laneName);
    return ids.map((id): StoredJob => {
      const job = lane.find(id);
      if (job === undefined) return { kind: "missing" };
      if (job.finishedOn === undefined) return { kind: "pending" };
      const { state, returnvalue, failedReason, stacktrace, progress } = job;
      return {
        kind: "finished",
        attempts: countedAttempts(job.attemptsMade, job.attemptsStarted),
        progress: progress === 0 ? undefined : progress,
        record: { failed: state === "failed", returnvalue, failedReason, stacktrace },
      };
    });
  }

  async idsIn(
    laneName: string,
    state: StoredState,
    from: number,
    count: number,
    order: StateOrder,
  ): Promise<string[]> {
    return idsIn(this.#lane(laneName), state, from, count, order);
  }

  async readRecords(
    laneName: string,
    ids: readonly string[],
    limits: FieldLimits,
  ): Promise<(JobRecord | undefined)[]> {
    const lane = this.#lane(laneName);
    return ids.map((id) => {
      const job = lane.find(id);
      return job === undefined ? undefined : recordOf(job, limits);
    });
  }

  async removeEnded(laneName: string, ids: readonly string[]): Promise<string[]> {
    return this.#lane(laneName).removeEnded(ids);
  }

  async renewAttempts(laneName: string, id: string): Promise<void> {
    const job = this.#lane(laneName).find(id);
    if (job?.state === "failed") delete job.deferredFailure;
  }

  async serve(worker: ServingWorker): Promise<void> {
    if (!this.#shared.serving.serve(worker)) return;
    for (const lane of this.#shared.lanes.values())
      if (worker.queues.includes(queueOfLaneName(lane.name) ?? "")) lane.retryAside();
  }

  async stopServing(workerId: string): Promise<void> {
    this.#shared.serving.stop(workerId);
  }

  async serving(): Promise<ServingWorker[]> {
    return this.#shared.serving.all();
  }

  /** The lanes of a queue name it already. */
  async recordQueue(): Promise<void> {}

  async queueNames(): Promise<string[]> {
    const names = [...this.#shared.lanes.values()].flatMap(({ name, jobs }) =>
      jobs.size === 0 ? [] : (queueOfLaneName(name) ?? []),
    );
    return [...new Set(names)].toSorted();
  }

  async claimLane(queue: string, lane: TaskLane, ids: readonly string[]): Promise<ReadonlySet<string>> {
    return this.#shared.laneClaims.claim(queue, lane, ids, this.now());
  }

  async findKept(laneName: string, key: string): Promise<KeptSubmission | undefined> {
    return this.#lane(laneName).kept(key);
  }

  async dropKept(laneName: string, key: string, id: string): Promise<boolean> {
    return this.#lane(laneName).dropKept(key, id);
  }

  recordEnd(): void {}

  async removeExpired(laneName: string, now?: number): Promise<void> {
    this.#lane(laneName).removeExpired(now);
  }

  async countCancelled(laneName: string): Promise<number> {
    return [...this.#lane(laneName).jobs.values()].filter(({ returnvalue }) =>
      isCancelledEnvelope(returnvalue),
    ).length;
  }

  async addHistory(entries: readonly HistoryEntry[]): Promise<void> {
    this.#shared.history.add(entries, this.now());
  }

  async readHistory(range: HistoryRange): Promise<HistoryBucket[]> {
    return this.#shared.history.read(range);
  }

  now(): number {
    return engineNow();
  }

  transient(): undefined {
    return undefined;
  }

  downFor(): number {
    return 0;
  }

  close(): Promise<void> {
    return this.#life.stop(() => this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    if (--this.#shared.users > 0) return;
    open.delete(this.url);
    for (const lane of this.#shared.lanes.values()) lane.clear();
  }
}

function laneIn(lanes: Map<string, MemoryLane>, name: string): MemoryLane {
  let lane = lanes.get(name);
  if (lane === undefined) {
    lane = new MemoryLane(name, engineNow);
    lanes.set(name, lane);
  }
  return lane;
}

/** Returns the loop's time. A virtual clock counts as milliseconds of the epoch. */
function engineNow(): number {
  const loop = getEventLoop();
  return loop.isVirtual() ? loop.time() : performance.timeOrigin + loop.time();
}
