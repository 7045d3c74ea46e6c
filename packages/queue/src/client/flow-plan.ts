import type { FlowJob } from "bullmq";
import { checkIsTask } from "../definition/define-task.ts";
import { laneQueueName } from "../contract/lane.ts";
import { encodeArguments } from "../wire/job-data.ts";
import type { FlowData } from "../wire/job-data.ts";
import type { CallToJob, Surroundings } from "./call-to-job.ts";
import { checkArguments } from "./check-arguments.ts";
import { childOptions } from "./flow.ts";
import type { TaskCall } from "./flow.ts";
import type { RemoteTask } from "./remote-task.ts";
import type { Submission } from "./submission.ts";

/** What of a whole flow holds for each of its calls. */
interface FlowTerms {
  readonly queueName: string;
  readonly returnExceptions: boolean;
  readonly surroundings: Surroundings;
}

/** A call of a flow, and all that it waits for, as jobs. */
interface FlowPlan {
  readonly remote: RemoteTask<unknown>;
  /** What BullMQ adds in one step. */
  readonly job: FlowJob;
  /** This call's and those below. */
  readonly submissions: readonly Submission[];
  /** Ends when the arguments of all of them have passed their schemas; fails when some do not. */
  readonly checking: Promise<unknown>;
}

/**
 * Makes the jobs of a call and of the calls that it waits for.
 *
 * @throws the error of a schema that refuses arguments at once, and a WireError for arguments that cannot be sent. All
 *   tasks of the flow have ended with that error then.
 */
export function planFlow(jobs: CallToJob, call: TaskCall, terms: FlowTerms): FlowPlan {
  const made: RemoteTask<unknown>[] = [];
  try {
    return planCall(jobs, call, terms, made, false);
  } catch (error) {
    for (const remote of made) remote.abandon(error);
    throw error;
  }
}

function planCall(
  jobs: CallToJob,
  call: TaskCall,
  terms: FlowTerms,
  made: RemoteTask<unknown>[],
  isChild: boolean,
): FlowPlan {
  checkIsTask(call.task);
  const { task } = call.task;
  const below = call.children.map((child) => planCall(jobs, child, terms, made, true));
  const children = below.map((plan) => plan.remote);
  const remote = Object.assign(jobs.remoteFor<unknown>(task, {}), { children });
  made.push(remote);
  const flow = children.length === 0 ? undefined : { flow: flowData(children, terms) };
  const submission: Submission = {
    ...jobs.submission(remote, task, [], call.options, terms.surroundings, flow),
    ...(children.length === 0 ? {} : { children }),
  };
  const checking = checked(call, (args) => Object.assign(submission.data, { args: encodeArguments(args) }));
  if (children.length > 0) bindChildren(remote, children);
  const job = {
    name: task.name,
    queueName: laneQueueName(terms.queueName, task.runsOn),
    data: submission.data,
    opts: {
      ...submission.options,
      jobId: remote.id,
      ...(isChild ? childOptions(terms.returnExceptions) : {}),
    },
  };
  return {
    remote,
    job: children.length === 0 ? job : { ...job, children: below.map((plan) => plan.job) },
    submissions: [...below.flatMap((plan) => plan.submissions), submission],
    checking: Promise.all([...below.map((plan) => plan.checking), checking]),
  };
}

/**
 * A flow is submitted as a whole. Arguments that a schema refuses at once are thrown; a schema that takes its time has
 * them replaced by what it makes of them, in a promise that has to be awaited before the flow is sent.
 */
function checked({ task, args }: TaskCall, replace: (args: readonly unknown[]) => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let isNow = true;
  checkArguments(
    task.task,
    args,
    (accepted) => {
      replace(accepted);
      resolve();
    },
    (error) => {
      if (isNow) throw error;
      reject(error);
    },
  );
  isNow = false;
  return promise;
}

function flowData(children: readonly RemoteTask<unknown>[], terms: FlowTerms): FlowData {
  return {
    queue: terms.queueName,
    children: children.map(({ id }) => id),
    ...(terms.returnExceptions ? { returnExceptions: true } : {}),
  };
}

/** Cancelling the parent cancels the children, and their ends are the parent's to see. */
function bindChildren(parent: RemoteTask<unknown>, children: readonly RemoteTask<unknown>[]): void {
  parent.signal.addEventListener("abort", () => {
    const { message } = parent.signal.reason as Error;
    for (const child of children) child.cancel(message);
  });
  for (const child of children) child.then(undefined, () => {});
}
