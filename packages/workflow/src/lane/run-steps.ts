import { getEventLoop } from "@taskloom/loop";
import type { Handle, Task } from "@taskloom/loop";
import {
  checkArguments,
  encodeError,
  endItem,
  idInRun,
  JobLog,
  notifyListener,
  runInSubmissionContext,
  untilAnswered,
} from "@taskloom/queue/lane";
import type {
  BullJob,
  Lane,
  LaneContext,
  Outcome,
  ParentRun,
  RunJobs,
  RunnableTask,
} from "@taskloom/queue/lane";
import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import { CANCELLED, FAILED } from "../journal/entry.ts";
import type { EndRecord } from "../journal/entry.ts";
import { endOfTask } from "../run/end-of-task.ts";
import type { EncodedOutcome, JobStart, RunHost, StepStart } from "../run/host.ts";

/** A worker asks again after this time to stop a job, until the job has ended. */
const ASK_AGAIN_MS = 1_000;

/** A job or a child without an end, at the place where the engine has it. */
interface PendingJob {
  readonly start: JobStart;
  readonly queue: string | undefined;
  readonly lane: Lane;
  readonly id: string;
  isCancelled: boolean;
  /** Whether the engine had no such job at the last look. */
  isMissing: boolean;
}

/** The parts of a worker that its runs share. */
export interface StepsLane {
  readonly context: LaneContext;
  readonly jobs: RunJobs;
}

/** The run whose steps they are. */
export interface StepsOwner {
  /** The id by which users know the run. */
  readonly id: string;
  /** The job of the run in its residence under way. */
  readonly job: BullJob;
  readonly generation: number;
  readonly workflow: WorkflowDefinition;
  /** Receives the end of a step, or of a job if it was found otherwise than in the inbox. */
  stepEnded(end: EndRecord): void;
}

/**
 * The host of a run in a worker. Steps run in the worker's lanes, and their ends are given to the run here. The ends
 * of jobs and children come by the inbox of the run, which is safe from this worker's death.
 */
export class RunSteps implements RunHost {
  readonly #lane: StepsLane;
  readonly #owner: StepsOwner;
  /** The three are made for the first entry: many runs only wait for a signal or a time. */
  #steps: Map<number, Task<unknown>> | null = null;
  #jobs: Map<number, PendingJob> | null = null;
  #log: JobLog | null = null;
  #mode: "open" | "draining" | "closed" = "open";
  #asking: Handle | undefined;

  constructor(lane: StepsLane, owner: StepsOwner) {
    this.#lane = lane;
    this.#owner = owner;
  }

  /** The number of steps that run here. */
  get running(): number {
    return this.#steps?.size ?? 0;
  }

  /** The number of jobs and children without an end. */
  get jobs(): number {
    return this.#jobs?.size ?? 0;
  }

  /** Starts no step any more, except one that may start only here: its command says that it has started. */
  drain(): void {
    if (this.#mode === "open") this.#mode = "draining";
  }

  /** Starts nothing any more, reports nothing, and cancels the steps. Resolves when they have ended. */
  async close(message: string): Promise<void> {
    this.#mode = "closed";
    this.#asking?.cancel();
    const steps = [...(this.#steps?.values() ?? [])];
    for (const step of steps) step.cancel(message);
    await Promise.allSettled(steps);
  }

  /** Stores a line of the run's log. */
  #write(line: string): Promise<void> {
    const { engine } = this.#lane.context;
    this.#log ??= new JobLog((text) => untilAnswered(engine, () => this.#owner.job.log(text)));
    return this.#log.write(line);
  }

  /** Resolves when all lines are logged. */
  async logged(): Promise<void> {
    await this.#log?.settled();
  }

  /** Drops a job whose end the run has received. */
  ended(command: number): void {
    this.#jobs?.delete(command);
  }

  startStep(step: StepStart): void {
    if (this.#mode === "closed" || (this.#mode === "draining" && !step.isOnce)) return;
    const { command, task } = step;
    try {
      const checked = checkArguments(task.task, step.args);
      if (checked instanceof Promise) this.#startChecked(step, checked);
      else this.#run(step, checked);
    } catch (error) {
      this.#report([command, FAILED, encodeError(error)]);
    }
  }

  #startChecked(step: StepStart, checking: Promise<readonly unknown[]>): void {
    const start = getEventLoop().createTask(async () => await checking, { name: step.key });
    (this.#steps ??= new Map()).set(step.command, start);
    start.addDoneCallback(() => {
      this.#steps?.delete(step.command);
      if (start.cancelled() || start.exception() !== undefined) this.#report(this.#endOf(step, start));
      else if (this.#mode !== "closed") this.#run(step, start.result());
    });
  }

  #run(step: StepStart, args: readonly unknown[]): void {
    const { command, task, attempt, timeout, key } = step;
    const running = this.#lane.context.steps.run({
      definition: task as unknown as RunnableTask,
      args,
      id: key,
      attempt,
      timeout,
      context: this.#owner.job.data.context,
      log: (line) => this.#write(line),
    });
    (this.#steps ??= new Map()).set(command, running);
    const startedAt = Date.now();
    running.addDoneCallback(() => {
      this.#steps?.delete(command);
      this.#notify(step, running, startedAt);
      this.#report(this.#endOf(step, running));
    });
  }

  #notify({ key, task: { task }, attempt }: StepStart, step: Task<unknown>, startedAt: number): void {
    const { context } = this.#lane;
    const { job } = this.#owner;
    const { onStep } = context.listeners;
    if (onStep === undefined) return;
    const error = step.cancelled() ? undefined : step.exception();
    const event = {
      run: this.#owner.id,
      key,
      name: task.name,
      queue: context.queue,
      lane: task.runsOn,
      state: step.cancelled() ? "cancelled" : error === undefined ? "completed" : "failed",
      attempt,
      startedAt,
      duration: Date.now() - startedAt,
      ...(error === undefined ? {} : { error }),
    } as const;
    runInSubmissionContext(job.data, () => notifyListener("onStep", onStep, event));
  }

  #endOf({ command, task: { task } }: StepStart, step: Task<unknown>): EndRecord {
    return endOfTask(command, step, `result of ${task.name}`);
  }

  #report(end: EndRecord): void {
    if (this.#mode !== "closed") this.#owner.stepEnded(end);
  }

  submit(start: JobStart): void {
    if (this.#mode === "closed") return;
    const pending = this.#place(start);
    (this.#jobs ??= new Map()).set(start.command, pending);
    this.#add(pending);
  }

  #add({ start, id }: PendingJob): void {
    const { command, task, args, from } = start;
    const { queue, ...options } = start.options;
    this.#lane.jobs.add(
      {
        task,
        args: args as unknown[],
        options: { ...options, id },
        queue,
        from,
        run: this.#parent(command),
        context: this.#owner.job.data.context,
      },
      (error) => this.#report([command, FAILED, encodeError(error)]),
    );
  }

  #parent(n: number): ParentRun {
    const { job, generation } = this.#owner;
    const place = { lane: this.#lane.context.laneName, id: job.id!, n };
    return generation === 0 ? place : { ...place, generation };
  }

  #place(start: JobStart): PendingJob {
    const { command, task, options } = start;
    const { job, generation } = this.#owner;
    const run = generation === 0 ? job.id! : `${job.id!}~${generation}`;
    const id = options.id ?? idInRun({ run, n: command });
    const lane = task.task.runsOn;
    return { start, queue: options.queue, lane, id, isCancelled: false, isMissing: false };
  }

  cancel(command: number, message: string | undefined): void {
    const step = this.#steps?.get(command);
    if (step !== undefined) {
      step.cancel(message);
      return;
    }
    if (this.#mode === "closed") return;
    const pending = this.#jobs?.get(command);
    if (pending === undefined || pending.isCancelled) return;
    pending.isCancelled = true;
    void this.#cancelJob(command, pending, message ?? "");
  }

  async #cancelJob(command: number, pending: PendingJob, message: string): Promise<void> {
    const { queue, lane, id } = pending;
    const { job, generation } = this.#owner;
    // A later owner of this run may cancel the child again.
    const key = `c:${job.id!}:${generation}:${command}`;
    try {
      const result = await this.#lane.jobs.cancel(queue, lane, id, message, key);
      if (result === "delivered" || this.#jobs?.has(command) !== true) return;
      if (result === "ended") {
        const [end] = await this.#lane.jobs.ends(queue, lane, [id]);
        this.#report(
          end === undefined || end === null ? [command, CANCELLED, message] : endRecord(command, end),
        );
        return;
      }
      getEventLoop().callLater(ASK_AGAIN_MS, () => {
        if (this.#mode !== "closed" && this.#jobs?.has(command) === true)
          void this.#cancelJob(command, pending, message);
      });
    } catch (error) {
      this.warn({ code: "RUN_CANCEL", message: `Job ${id} could not be cancelled: ${String(error)}` });
    }
  }

  /**
   * Checks the jobs without an end. Their worker can have died before it delivered the end, and an engine that loses its last
   * writes loses jobs, too.
   */
  async look(): Promise<void> {
    const places = new Map<string, [number, PendingJob][]>();
    for (const entry of this.#jobs ?? []) {
      const place = `${entry[1].lane} ${entry[1].queue ?? ""}`;
      const there = places.get(place);
      if (there === undefined) places.set(place, [entry]);
      else there.push(entry);
    }
    for (const jobs of places.values()) {
      const { queue, lane } = jobs[0]![1];
      const ends = await this.#lane.jobs.ends(
        queue,
        lane,
        jobs.map(([, { id }]) => id),
      );
      for (const [index, end] of ends.entries()) {
        const [command, pending] = jobs[index]!;
        if (end === undefined || this.#jobs?.get(command) !== pending) continue;
        if (end === null) this.#addAgain(pending);
        else this.#report(endRecord(command, end));
      }
    }
  }

  /**
   * Adds a job again that is not there at two looks, one after the other. At one look it can have ended and gone a moment
   * ago, with its end on the way to the inbox.
   */
  #addAgain(pending: PendingJob): void {
    if (pending.isMissing && !pending.isCancelled && this.#mode !== "closed") this.#add(pending);
    pending.isMissing = true;
  }

  answer(update: string, outcome: EncodedOutcome): void {
    const address = update.slice(0, Math.max(0, update.lastIndexOf("#")));
    if (address === "") return;
    this.#lane.context.engine.replies.send(address, {
      id: update,
      outcome,
      attempts: 1,
    });
  }

  log(line: string): void {
    this.#write(line).catch((error: unknown) => {
      this.warn({ code: "RUN_LOG", message: `A line of the log could not be stored: ${String(error)}` });
    });
  }

  warn({ code, message }: { readonly code: string; readonly message: string }): void {
    const { onWarning } = this.#lane.context.listeners;
    const { id, workflow } = this.#owner;
    if (onWarning === undefined) process.emitWarning(message, { type: "TaskloomWarning", code });
    else notifyListener("onWarning", onWarning, { code, message, id, name: workflow.task.name });
  }
}

/** Returns the record of the end of a job. Its values are encoded. */
function endRecord(command: number, end: Outcome): EndRecord {
  return endItem(command, end) as EndRecord;
}
