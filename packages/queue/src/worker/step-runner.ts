import { getEventLoop } from "@taskloom/loop";
import type { EventLoop, Task } from "@taskloom/loop";
import type { ThreadPoolExecutor } from "@taskloom/offload";
import type { TaskLane } from "../contract/lane.ts";
import { TaskOptionsError } from "../errors.ts";
import type { JobData } from "../wire/job-data.ts";
import type { RunnableTask } from "../definition/define-task.ts";
import { runAsJob } from "./current-job.ts";
import type { CurrentJob } from "./current-job.ts";
import { JobLog } from "./job-log.ts";
import type { LaneSlots } from "./lane-slots.ts";
import { outsideTasks } from "./outside-tasks.ts";
import { withinLimit } from "./run-limit.ts";
import { runInSubmissionContext } from "./submission-context.ts";

/** One step: a call of a task in the lane of the task, on the worker of the run that asks for it. */
export interface Step {
  readonly definition: RunnableTask;
  readonly args: readonly unknown[];
  /** The id that `currentJob()` has in the step, as a key for idempotency. */
  readonly id: string;
  /** The number of this attempt; the first is 1. */
  readonly attempt: number;
  /** Milliseconds that the attempt may run, without its wait for a place. Default: the timeout of the task. */
  readonly timeout?: number | undefined;
  /** The time after which the result is of no use, in `Date.now()` milliseconds. The step only reads it. */
  readonly deadline?: number | undefined;
  /** The context of the run's submission, as its job has it. */
  readonly context?: JobData["context"];
  /** Stores a line that the step logs. One line is stored after the other. Default: lines are dropped. */
  readonly log?: (line: string) => Promise<unknown>;
}

/** The parts of a worker that its {@link StepRunner} needs. */
export interface StepRunnerOptions {
  /** The places of the lanes. */
  readonly slots: Readonly<Record<TaskLane, LaneSlots>>;
  /** Opens the threads of the worker at the first step that needs them. */
  readonly threads: () => Promise<ThreadPoolExecutor>;
}

/**
 * Runs steps of durable runs, in the loop or thread lane of the worker that has the run. A step is a task of the worker's
 * loop: a cancel of it reaches into the thread, and its progress is that of the task's body.
 */
export class StepRunner {
  readonly #slots: StepRunnerOptions["slots"];
  readonly #threads: StepRunnerOptions["threads"];
  /** A run can have a loop of its own, whose code may be on the stack when it asks for a step. */
  readonly #loop: EventLoop = getEventLoop();

  constructor({ slots, threads }: StepRunnerOptions) {
    this.#slots = slots;
    this.#threads = threads;
  }

  /**
   * Starts a step. It waits for a place of its lane, in line with the jobs of the lane and with other steps.
   *
   * @throws {@link TaskOptionsError} for a task of the workflow lane.
   */
  run(step: Step): Task<unknown> {
    const { definition, id, attempt, context, deadline } = step;
    const { name, runsOn } = definition.task;
    if (runsOn === "workflow") {
      throw new TaskOptionsError(
        `Expected a step of the loop or thread lane, got ${name}, which is a durable run; submit it as a child`,
      );
    }
    const log = new JobLog(step.log ?? (async () => {}));
    const current: CurrentJob = {
      id,
      attempt,
      deadline,
      childResults: [],
      log: (line) => log.write(line),
    };
    const body = async (): Promise<unknown> => {
      try {
        return await this.#slots[runsOn].runStep(() =>
          this.#inTime(step, () => this.#call(step, (value) => task.reportProgress(value))),
        );
      } finally {
        await log.settled();
      }
    };
    const task: Task<unknown> = outsideTasks(() =>
      runInSubmissionContext(context === undefined ? {} : { context }, () =>
        runAsJob(current, () => this.#loop.createTask(body, { name: id })),
      ),
    );
    return task;
  }

  #inTime(step: Step, call: () => unknown): unknown {
    const { definition, id, attempt, timeout = definition.task.timeout } = step;
    if (timeout === undefined || timeout === Infinity) return call();
    const run = `Attempt ${attempt} of step ${id} (${definition.task.name})`;
    return withinLimit({ kind: "timeout", milliseconds: timeout }, run, call);
  }

  async #call({ definition, args }: Step, onProgress: (value: unknown) => void): Promise<unknown> {
    if (definition.task.runsOn !== "thread") return await definition(...args);
    const threads = await this.#threads();
    const running = threads.submit(definition, ...args);
    running.onProgress(onProgress);
    return await running;
  }
}
