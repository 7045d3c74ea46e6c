import type { ThreadPoolExecutor } from "@taskloom/offload";
import type { Engine } from "../contract/engine.ts";
import { laneQueueName, lanes } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import type { BullJob } from "../contract/lane-queue.ts";
import type { LockHolder } from "../contract/lock-holder.ts";
import type { RunnableTask } from "../definition/define-task.ts";
import type { QueueFigures } from "./history-recorder.ts";
import { JobAdmission } from "./job-admission.ts";
import type { ReportUnknown, WorkerListeners } from "./job-events.ts";
import { JobRunner } from "./job-runner.ts";
import type { LaneRunner, LaneRunnerFactory } from "./lane-runner.ts";
import { LaneSlots } from "./lane-slots.ts";
import { notifyListener } from "./notify-listener.ts";
import type { OutcomeReplies } from "./outcome-replies.ts";
import { ServedLane } from "./served-lane.ts";
import { StepRunner } from "./step-runner.ts";

/** The parts of a worker that serve a queue. */
export interface ServedQueueOptions {
  readonly engine: Engine;
  readonly queue: string;
  readonly tasks: ReadonlyMap<string, RunnableTask>;
  /** The runner of the workflow lane that a task brings; undefined if none does. */
  readonly brought: LaneRunnerFactory | undefined;
  /** The threads of the thread lane; undefined if no task runs there. */
  readonly threads: ThreadPoolExecutor | undefined;
  /** Opens the threads if they are not open, for steps whose tasks the worker does not list. */
  readonly openThreads: () => Promise<ThreadPoolExecutor>;
  /** The renewal of locks from a thread; undefined if none lapse. */
  readonly renewal: LockHolder | undefined;
  /** Returns the number of jobs that a lane runs at once now. */
  readonly concurrency: (lane: Lane) => number;
  readonly listeners: WorkerListeners;
  /** The figures of the queue's history. */
  readonly figures: QueueFigures;
}

/**
 * Returns the lanes of a queue that a worker serves. The loop and thread lanes are served without tasks, too, so that a job
 * of an unknown task is noticed and reported. The workflow lane costs a connection and memory for its locks, so only a worker
 * serves it that has a runner for it.
 */
export function servedLanes(brought: LaneRunnerFactory | undefined): readonly Lane[] {
  return lanes.filter((lane) => lane !== "workflow" || brought !== undefined);
}

/** Opens the lanes of a queue for a worker. */
export function serveQueue(options: ServedQueueOptions): ServedLane[] {
  const { engine, queue, tasks, brought, openThreads, renewal, concurrency, listeners } = options;
  const reportUnknown: ReportUnknown = (job) => notifyListener("onUnknown", listeners.onUnknown, job);
  // Without durable runs a lane's concurrency is its only limit, and a job waits for no place.
  const slots =
    brought === undefined
      ? undefined
      : { loop: new LaneSlots(concurrency("loop")), thread: new LaneSlots(concurrency("thread")) };

  const jobRunner = (
    lane: "loop" | "thread",
    replies: OutcomeReplies,
    onStart: (job: BullJob) => void,
  ): LaneRunner =>
    new JobRunner({
      engine,
      lane,
      laneName: laneQueueName(queue, lane),
      tasks,
      threads: lane === "thread" ? options.threads : undefined,
      slots: slots?.[lane],
      replies,
      reportUnknown,
      onStart,
    });

  const broughtRunner = (open: LaneRunnerFactory, replies: OutcomeReplies): LaneRunner => {
    const admission = new JobAdmission({ engine, lane: "workflow", tasks, reportUnknown, limits: false });
    return open({
      engine,
      queue,
      lane: "workflow",
      laneName: laneQueueName(queue, "workflow"),
      tasks,
      get concurrency() {
        return concurrency("workflow");
      },
      replies,
      listeners,
      steps: new StepRunner({ slots: slots!, threads: openThreads }), // The slots are there with a runner.
      admit: (...args) => admission.admit(...args),
      putBack: (job, token, lane) => admission.putBack(job, token, lane),
    });
  };

  return servedLanes(brought).map(
    (lane) =>
      new ServedLane(engine, {
        queue,
        lane,
        slots: lane === "workflow" ? undefined : slots?.[lane],
        renewal,
        concurrency: concurrency(lane),
        listeners,
        figures: options.figures,
        open: (replies, onStart) =>
          lane === "workflow" ? broughtRunner(brought!, replies) : jobRunner(lane, replies, onStart),
      }),
  );
}
