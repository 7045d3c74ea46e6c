import type { FlowJob } from "bullmq";
import { checkArguments } from "../definition/check-arguments.ts";
import { checkIsTask } from "../definition/define-task.ts";
import { laneQueueName } from "../contract/lane.ts";
import { messageOf } from "../message-of.ts";
import { encodeArguments } from "../wire/job-data.ts";
import type { FlowData } from "../wire/job-data.ts";
import { childOptions } from "./flow.ts";
import type { FlowTask, TaskCall } from "./flow.ts";
import type { JobFactory, SubmissionContext } from "./job-factory.ts";
import type { RemoteTask } from "./remote-task.ts";
import type { Submission } from "./submission.ts";

/** The settings that all calls of a flow share. */
interface FlowSettings {
  readonly queueName: string;
  readonly returnExceptions: boolean;
  readonly context: SubmissionContext;
}

/** A call of a flow and all calls before it, as jobs. */
interface FlowPlan<R> {
  readonly remote: FlowTask<R>;
  /** The job of the call with those of its children, which BullMQ adds in one step. */
  readonly job: FlowJob;
  /** The submissions of the children, and last that of the call itself. */
  readonly submissions: readonly Submission[];
  /** Resolves when the arguments of all calls have passed their schemas; rejects if some are refused. */
  readonly checking: Promise<unknown>;
}

/**
 * Makes the jobs of a call and of the calls before it.
 *
 * @throws {@link TaskArgumentsError} if a synchronous schema refuses arguments, {@link WireError} for arguments that
 *   cannot be sent. All tasks of the flow have then failed with that error.
 */
export function planFlow<R>(jobs: JobFactory, call: TaskCall<R>, settings: FlowSettings): FlowPlan<R> {
  const made: RemoteTask<unknown>[] = [];
  try {
    return planCall(jobs, call, settings, made, false);
  } catch (error) {
    for (const remote of made) remote.abandon(error);
    throw error;
  }
}

function planCall<R>(
  jobs: JobFactory,
  call: TaskCall<R>,
  settings: FlowSettings,
  made: RemoteTask<unknown>[],
  isChild: boolean,
): FlowPlan<R> {
  checkIsTask(call.task);
  const { task } = call.task;
  jobs.refuseElsewhere(task, "a job of a flow");
  const below = call.children.map((child) => planCall(jobs, child, settings, made, true));
  const children = below.map((plan) => plan.remote);
  const remote = Object.assign(jobs.newTask<R>(task, {}, made[0]?.id), { children });
  made.push(remote);
  const isParent = children.length > 0;
  const checked = checkArguments(task, call.args);
  const submission = jobs.submission(
    remote,
    task,
    checked instanceof Promise ? [] : checked,
    call.options,
    settings.context,
    isParent ? { flow: flowData(children, settings) } : undefined,
    isParent ? children : undefined,
  );
  // The flow is sent when all arguments have been checked.
  const checking =
    checked instanceof Promise
      ? checked.then((args) => Object.assign(submission.data, { args: encodeArguments(args) }))
      : undefined;
  if (isParent) bindChildren(remote, children);
  const job = {
    name: task.name,
    queueName: laneQueueName(settings.queueName, task.runsOn),
    data: submission.data,
    opts: {
      ...submission.options,
      jobId: remote.id,
      ...(isChild ? childOptions(settings.returnExceptions) : {}),
    },
  };
  const allChecked = Promise.all([...below.map((plan) => plan.checking), checking]);
  allChecked.catch(() => {}); // The sender of the flow receives the error, if the flow comes to be sent.
  return {
    remote,
    job: isParent ? { ...job, children: below.map((plan) => plan.job) } : job,
    submissions: [...below.flatMap((plan) => plan.submissions), submission],
    checking: allChecked,
  };
}

function flowData(children: readonly RemoteTask<unknown>[], settings: FlowSettings): FlowData {
  return {
    queue: settings.queueName,
    children: children.map(({ id }) => id),
    ...(settings.returnExceptions ? { returnExceptions: true } : {}),
  };
}

/** Cancels the children with the parent. The outcomes of the children are the parent's, so none counts as unretrieved. */
function bindChildren(parent: RemoteTask<unknown>, children: readonly RemoteTask<unknown>[]): void {
  parent.signal.addEventListener("abort", () => {
    const message = messageOf(parent.signal.reason);
    for (const child of children) child.cancel(message);
  });
  for (const child of children) child.then(undefined, () => {});
}
