import { getEventLoop } from "@taskloom/loop";
import type { Handle } from "@taskloom/loop";
import { Backoffs } from "bullmq";
import type { JobState, RepeatOptions } from "bullmq";
import { nextRunToStore } from "../../cron/repeat-strategy.ts";
import type { JobData } from "../../wire/job-data.ts";
import type { LaneQueue, NewJob, StoredSchedule } from "../../contract/lane-queue.ts";
import type { LANE_EVENTS, LaneEventListener } from "../../contract/lane-events.ts";
import type { KeptSubmission } from "../../contract/stored-job.ts";
import { endOf } from "../../contract/retention.ts";
import { StoredFailure } from "../../wire/outcome.ts";
import { Deduplication } from "./deduplication.ts";
import { DueHeap } from "./due-heap.ts";
import { MemoryJob } from "./memory-job.ts";
import { ReadyJobs } from "./ready-jobs.ts";
import type { JobMoves } from "./memory-job.ts";
import { MemoryRateLimit } from "./rate-limit.ts";

/** A schedule, and the one job of it that waits for its time. */
interface MemorySchedule extends StoredSchedule {
  readonly repeat: Omit<RepeatOptions, "key">;
  readonly template: { readonly data: JobData; readonly opts: NewJob["opts"] };
  readonly next: number;
  readonly count: number;
}

/** Returns the time of the engine, which is the loop's time. It is virtual if the loop's clock is. */
export type Now = () => number;

/**
 * One lane of a queue, in memory. A job is `waiting`, `delayed`, or `waiting-children` until it is taken (`active`),
 * and from there goes to `completed` or `failed`, or back to `waiting` or `delayed`.
 */
export class MemoryLane implements LaneQueue, JobMoves {
  readonly name: string;
  readonly jobs: Map<string, MemoryJob> = new Map();
  readonly #now: Now;
  readonly #ready = new ReadyJobs();
  readonly #timers = new Map<MemoryJob, Handle>();
  /** The ended jobs by the time of their removal. Some of them were retried since. */
  readonly #finished = new DueHeap<MemoryJob>();
  readonly #schedules = new Map<string, MemorySchedule>();
  readonly #deduplication: Deduplication;
  /** The jobs that no worker of the process knows. They wait for the start of a worker. */
  readonly #aside = new Set<MemoryJob>();
  readonly #wakes = new Set<() => void>();
  readonly #listeners = new Set<LaneEventListener>();
  #limit: MemoryRateLimit | undefined;
  #paused = false;
  #sequence = 0;

  constructor(name: string, now: Now) {
    this.name = name;
    this.#now = now;
    this.#deduplication = new Deduplication(now);
  }

  /** Calls `wake` whenever there may be a job to take, and returns a function that stops that. */
  onJob(wake: () => void): () => void {
    this.#wakes.add(wake);
    return () => this.#wakes.delete(wake);
  }

  /** Notifies `listener` of the events of the lane, and returns a function that stops that. */
  onEvent(listener: LaneEventListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #notify(event: (typeof LANE_EVENTS)[number], job: MemoryJob, fields: object = {}): void {
    for (const listener of this.#listeners) listener(event, { jobId: job.id, ...fields });
  }

  progressed(job: MemoryJob): void {
    this.#notify("progress", job, { data: job.progress });
  }

  #wake(): void {
    for (const wake of this.#wakes) wake();
  }

  async addBulk(jobs: NewJob[]): Promise<{ readonly id: string }[]> {
    this.removeExpired();
    return jobs.map((job) => ({ id: this.insert(job).id }));
  }

  async add(name: string, data: NewJob["data"], opts: NewJob["opts"]): Promise<{ readonly id: string }> {
    this.removeExpired();
    return { id: this.insert({ name, data, opts }).id };
  }

  /** Adds a job and returns it. If the id is taken or the job is a duplicate, the existing job is returned. */
  insert(job: NewJob, children?: readonly MemoryJob[]): MemoryJob {
    const id = job.opts.jobId!;
    const existing = this.jobs.get(id) ?? this.#deduplicate(job);
    if (existing !== undefined) return existing;
    const added = new MemoryJob(this, id, job, this.#now(), this.#sequence++);
    this.jobs.set(id, added);
    this.#notify("added", added, { name: job.name });
    if (job.opts.deduplication !== undefined) this.#deduplication.hold(job.opts.deduplication, added);
    for (const child of children ?? []) {
      const key = `${child.name}:${child.id}`;
      added.dependencies.pending.add(key);
      child.parent = { job: added, key };
    }
    if (added.dependencies.pending.size > 0) added.state = "waiting-children";
    else if ((job.opts.delay ?? 0) > 0) this.delay(added, job.opts.delay!);
    else this.wait(added);
    return added;
  }

  #deduplicate(job: NewJob): MemoryJob | undefined {
    const options = job.opts.deduplication;
    const holder = options === undefined ? undefined : this.#deduplication.holder(options.id);
    if (options === undefined || holder === undefined) return undefined;
    if (options.replace === true && holder.state === "delayed") {
      this.#remove(holder);
      return undefined;
    }
    if (options.reschedule === true && holder.state === "delayed") this.delay(holder, job.opts.delay ?? 0);
    if (options.keepLastIfActive === true && holder.state === "active")
      this.#deduplication.keep(options.id, job);
    else this.#deduplication.refresh(options);
    return holder;
  }

  /** Lets a worker that starts look at the jobs that no other one knows. */
  retryAside(): void {
    for (const job of this.#aside) this.wait(job);
  }

  /** Makes a job ready to be taken, in its place. */
  wait(job: MemoryJob): void {
    this.#aside.delete(job);
    job.state = "waiting";
    job.token = undefined;
    this.#ready.add(job);
    this.#notify("waiting", job);
    this.#wake();
  }

  /** Makes a job ready to be taken behind all others of its priority. */
  waitLast(job: MemoryJob): void {
    job.sequence = this.#sequence++;
    this.wait(job);
  }

  /** Makes a job ready after a time, in milliseconds; Infinity is the start of a worker. */
  delay(job: MemoryJob, milliseconds: number): void {
    this.#stopTimer(job);
    job.state = "delayed";
    job.token = undefined;
    if (milliseconds === Number.POSITIVE_INFINITY) {
      job.dueAt = undefined;
      this.#aside.add(job);
      return;
    }
    job.dueAt = this.#now() + Math.max(0, milliseconds);
    const timer = getEventLoop().callLater(Math.max(0, milliseconds), () => {
      this.#timers.delete(job);
      this.wait(job);
    });
    this.#timers.set(job, timer);
    this.#notify("delayed", job, { delay: job.dueAt });
  }

  /** Makes a delayed job ready to be taken behind all others of its priority. */
  promote(job: MemoryJob): void {
    this.#stopTimer(job);
    this.waitLast(job);
  }

  /** Makes a delayed job ready to be taken, in the place that it had before. */
  wakeParked(job: MemoryJob): void {
    this.#stopTimer(job);
    this.wait(job);
  }

  #stopTimer(job: MemoryJob): void {
    this.#timers.get(job)?.cancel();
    this.#timers.delete(job);
    this.#aside.delete(job);
  }

  /** Takes the next job for a worker, if there is one and the lane is not paused or at its limit. */
  take(token: string, wake: () => void): MemoryJob | undefined {
    if (this.#paused || this.#ready.isEmpty) return undefined;
    const wait = this.#limit?.take(this.#now()) ?? 0;
    if (wait > 0) {
      if (this.#limit?.arm() === true) getEventLoop().callLater(wait, () => this.#wake());
      return undefined;
    }
    const job = this.#ready.take()!;
    // The worker that took a job is the last to be notified next time, so the workers of a lane take turns.
    this.#wakes.delete(wake);
    this.#wakes.add(wake);
    this.#hold(job, token);
    job.attemptsStarted++;
    job.processedOn = this.#now();
    this.#notify("active", job);
    if (job.schedule !== undefined) this.#scheduleNext(job.schedule);
    return job;
  }

  #hold(job: MemoryJob, token: string): void {
    job.state = "active";
    job.token = token;
  }

  /** Takes a waiting job for its canceller, and returns whether it did. */
  claim(job: MemoryJob, token: string): boolean {
    if (job.schedule !== undefined || (job.state !== "waiting" && job.state !== "delayed")) return false;
    this.#withdraw(job);
    this.#hold(job, token);
    return true;
  }

  #withdraw(job: MemoryJob): void {
    this.#stopTimer(job);
    if (job.state === "waiting") this.#ready.remove(job);
  }

  #remove(job: MemoryJob): void {
    this.#withdraw(job);
    this.jobs.delete(job.id);
  }

  complete(job: MemoryJob, value: unknown): void {
    job.attemptsMade++;
    job.returnvalue = value === undefined ? null : JSON.parse(JSON.stringify(value));
    this.#finish(job, "completed");
    if (job.parent !== undefined) this.#childEnded(job.parent, job.returnvalue);
  }

  /** Ends a failed attempt: for good, or until the next attempt. */
  fail(job: MemoryJob, error: Error): void {
    job.attemptsMade++;
    job.stacktrace.push(error.stack ?? error.message);
    if (error.name !== "UnrecoverableError" && job.attemptsMade < (job.opts.attempts ?? 1)) {
      const backoff = Backoffs.normalize(job.opts.backoff as number);
      const wait =
        error instanceof StoredFailure && error.retryAfter !== undefined
          ? error.retryAfter
          : backoff === undefined
            ? 0
            : (Backoffs.calculate(backoff, job.attemptsMade, error, job as never) as number);
      if (wait > 0) this.delay(job, wait);
      else this.waitLast(job);
      return;
    }
    job.failedReason = error.message;
    this.#finish(job, "failed");
    const { parent } = job;
    if (parent === undefined) return;
    if (job.opts.failParentOnFailure === true) this.#failParent(parent.job, `child ${job.id} failed`);
    else this.#childEnded(parent, undefined);
  }

  #finish(job: MemoryJob, state: "completed" | "failed"): void {
    job.state = state;
    job.token = undefined;
    job.finishedOn = this.#now();
    job.keptUntil = endOf(job, state).until;
    const { returnvalue, failedReason } = job;
    this.#notify(state, job, state === "completed" ? { returnvalue } : { failedReason });
    this.#finished.push(job.keptUntil, job);
    const next = this.#deduplication.release(job);
    if (next !== undefined) this.insert(next);
  }

  #childEnded({ job, key }: NonNullable<MemoryJob["parent"]>, value: unknown): void {
    const { pending, values } = job.dependencies;
    if (!pending.delete(key)) return;
    if (value !== undefined) values[key] = value;
    if (pending.size === 0 && job.state === "waiting-children") job.release();
  }

  #failParent(parent: MemoryJob, reason: string): void {
    if (parent.state !== "waiting-children") return;
    parent.deferredFailure ??= reason;
    parent.dependencies.pending.clear();
    parent.release();
  }

  /** Makes a failed job wait again, as if it had never started. */
  retry(job: MemoryJob): void {
    if (job.state !== "failed") throw new Error(`Job ${job.id} is not in the failed state`);
    job.keptUntil = undefined;
    job.attemptsMade = 0;
    job.attemptsStarted = 0;
    delete job.finishedOn;
    job.failedReason = "";
    job.stacktrace.length = 0;
    this.waitLast(job);
  }

  /** Removes ended jobs, and returns the ids of those that were removed. */
  removeEnded(ids: readonly string[]): string[] {
    return ids.filter((id) => {
      const job = this.find(id);
      if (job === undefined || (job.state !== "completed" && job.state !== "failed")) return false;
      this.#deduplication.drop(job);
      this.#notify("removed", job);
      return this.jobs.delete(id);
    });
  }

  /** Drops the jobs whose retention is over. */
  removeExpired(now: number = this.#now()): void {
    for (let due = this.#finished.take(now); due !== undefined; due = this.#finished.take(now)) {
      const { at, item: job } = due;
      if (job.keptUntil === at && this.jobs.get(job.id) === job) this.jobs.delete(job.id);
    }
  }

  /** Returns the job of an id; undefined if its retention is over. */
  find(id: string): MemoryJob | undefined {
    this.removeExpired();
    return this.jobs.get(id);
  }

  async getJob(id: string): Promise<MemoryJob | undefined> {
    return this.find(id);
  }

  async getJobState(id: string): Promise<JobState | "unknown"> {
    return this.find(id)?.state ?? "unknown";
  }

  async getJobLogs(id: string, start = 0, end = -1): Promise<{ logs: string[]; count: number }> {
    const logs = this.find(id)?.logs ?? [];
    return { logs: logs.slice(start, end < 0 ? undefined : end + 1), count: logs.length };
  }

  async getJobCounts(): Promise<Record<string, number>> {
    this.removeExpired();
    const counts: Record<string, number> = {};
    for (const { state } of this.jobs.values()) counts[state] = (counts[state] ?? 0) + 1;
    return counts;
  }

  kept(key: string): KeptSubmission | undefined {
    return this.#deduplication.kept(key);
  }

  dropKept(key: string, id: string): boolean {
    return this.#deduplication.dropKept(key, id);
  }

  async getDeduplicationJobId(key: string): Promise<string | null> {
    return this.#deduplication.holder(key)?.id ?? null;
  }

  async pause(): Promise<void> {
    this.#paused = true;
  }

  async isPaused(): Promise<boolean> {
    return this.#paused;
  }

  async resume(): Promise<void> {
    this.#paused = false;
    this.#wake();
  }

  async setGlobalRateLimit(max: number, duration: number): Promise<number> {
    this.#limit = new MemoryRateLimit(max, duration);
    return 0;
  }

  async getGlobalRateLimit(): Promise<{ max: number; duration: number } | null> {
    return this.#limit === undefined ? null : { max: this.#limit.max, duration: this.#limit.duration };
  }

  async removeGlobalRateLimit(): Promise<number> {
    this.#limit = undefined;
    this.#wake();
    return 0;
  }

  async upsertJobScheduler(
    id: string,
    repeat: Omit<RepeatOptions, "key">,
    { name, data, opts }: { name: string; data: JobData; opts: NewJob["opts"] },
  ): Promise<void> {
    await this.removeJobScheduler(id);
    this.#schedule({
      key: id,
      name,
      ...scheduleFields(repeat),
      repeat,
      template: { data, opts },
      next: 0,
      count: 0,
    });
  }

  /** Adds the job of a schedule's next run. */
  #schedule(schedule: MemorySchedule): void {
    const { key, name, repeat, template, count, next: previous } = schedule;
    const now = this.#now();
    const end = repeat.endDate === undefined ? Number.POSITIVE_INFINITY : Number(repeat.endDate);
    // As in BullMQ, an interval begins at once and keeps its phase, and one run replaces all missed runs. A pattern has its
    // own times.
    const { every } = repeat;
    const next =
      every === undefined
        ? nextRunToStore(Math.max(previous, now), repeat)
        : count === 0
          ? Math.ceil(now)
          : previous + every * (1 + Math.max(0, Math.floor((now - previous) / every)));
    if (next === undefined || next > end || count >= (repeat.limit ?? Number.POSITIVE_INFINITY)) {
      this.#schedules.delete(key);
      return;
    }
    this.#schedules.set(key, { ...schedule, next, count: count + 1 });
    const job = this.insert({
      name,
      data: template.data,
      opts: { ...template.opts, jobId: `repeat:${key}:${next}`, delay: Math.max(0, next - now) },
    });
    job.schedule = key;
  }

  #scheduleNext(key: string): void {
    const schedule = this.#schedules.get(key);
    if (schedule !== undefined) this.#schedule(schedule);
  }

  async removeJobScheduler(id: string): Promise<boolean> {
    for (const job of this.jobs.values())
      if (job.schedule === id && (job.state === "delayed" || job.state === "waiting")) this.#remove(job);
    return this.#schedules.delete(id);
  }

  async getJobScheduler(id: string): Promise<StoredSchedule | undefined> {
    return this.#schedules.get(id);
  }

  async getJobSchedulers(start: number, end: number): Promise<StoredSchedule[]> {
    const inOrder = [...this.#schedules.values()].toSorted((a, b) => (a.next ?? 0) - (b.next ?? 0));
    return inOrder.slice(start, end < 0 ? undefined : end + 1);
  }

  async close(): Promise<void> {}

  /** Drops everything. */
  clear(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    this.jobs.clear();
    this.#ready.clear();
  }
}

function scheduleFields({
  pattern,
  every,
  tz,
  endDate,
}: Omit<RepeatOptions, "key">): Partial<StoredSchedule> {
  return {
    ...(pattern === undefined ? {} : { pattern }),
    ...(every === undefined ? {} : { every }),
    ...(tz === undefined ? {} : { tz }),
    ...(endDate === undefined ? {} : { endDate: Number(endDate) }),
  };
}
