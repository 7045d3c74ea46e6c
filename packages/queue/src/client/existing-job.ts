import { TaskOptionsError } from "../errors.ts";
import { laneOfJobId, storedId } from "../contract/lane.ts";
import { retryStored } from "../operate/retry.ts";
import type { CallToJob } from "./call-to-job.ts";
import type { JobClient } from "./job-client.ts";
import type { RemoteTask } from "./remote-task.ts";
import type { Submission } from "./submission.ts";

/** Waits for a job that was submitted before. */
export function attachToJob(
  client: JobClient,
  jobs: CallToJob,
  id: string,
  name: string,
): RemoteTask<unknown> {
  const { remote, submission } = known(jobs, id, name);
  client.attach(submission);
  return remote;
}

/** Runs a job that failed for good once more, and waits for it. */
export function retryJob(client: JobClient, jobs: CallToJob, id: string): RemoteTask<unknown> {
  const { remote, submission } = known(jobs, id, "retried");
  const { queues } = client;
  // The reply goes to whoever waits now.
  const { address } = queues.engine.replies;
  void client.send([submission], () => retryStored(queues, submission.lane, storedId(id), address));
  return remote;
}

/** A job that is known by its id alone. */
function known(
  jobs: CallToJob,
  id: string,
  name: string,
): { readonly remote: RemoteTask<unknown>; readonly submission: Submission } {
  const lane = laneOfJobId(id);
  if (lane === undefined) {
    throw new TaskOptionsError(
      `${JSON.stringify(id)} is not a job's id (loop.… or thread.…); for one that you chose, give the task too: attach(task, id).`,
    );
  }
  const remote = jobs.remote<unknown>(id, name);
  const submission: Submission = {
    lane,
    id,
    name,
    data: { v: 1, version: 1, args: [] },
    options: {},
    tasks: [remote],
    mayExist: true,
    end: undefined,
    addedAt: undefined,
  };
  return { remote, submission };
}
