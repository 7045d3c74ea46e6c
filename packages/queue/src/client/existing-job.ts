import { TaskOptionsError } from "../errors.ts";
import { laneOfJobId, storedId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { retryStored } from "../operate/retry.ts";
import type { JobFactory } from "./job-factory.ts";
import type { JobClient } from "./job-client.ts";
import type { RemoteTask } from "./remote-task.ts";
import { Submission } from "./submission.ts";

/** Returns a task that waits for a job which was submitted before. */
export function attachToJob(
  client: JobClient,
  jobs: JobFactory,
  id: string,
  name: string,
): RemoteTask<unknown> {
  const lane = laneIn(id);
  const remote = jobs.taskOf<unknown>(id, name);
  client.attach(submissionOf(remote, name, lane));
  return remote;
}

/** Retries a job that failed for good, and returns a task that waits for it. */
export function retryJob(client: JobClient, jobs: JobFactory, id: string): RemoteTask<unknown> {
  const lane = laneIn(id);
  const remote = jobs.taskOf<unknown>(id, "retried");
  const { queues } = client;
  // The reply is sent to the process that waits now.
  const { address } = queues.engine.replies;
  void client.send([submissionOf(remote, "retried", lane)], () =>
    retryStored(queues, lane, storedId(id), address),
  );
  return remote;
}

/**
 * Returns the lane in the id of a job.
 *
 * @throws {@link TaskOptionsError} if the id names no lane.
 */
export function laneIn(id: string): Lane {
  const lane = laneOfJobId(id);
  if (lane !== undefined) return lane;
  throw new TaskOptionsError(
    `Expected the id of a job (loop.…, thread.… or workflow.…), got ${JSON.stringify(id)}; for an id that you chose, pass the task too: attach(task, id)`,
  );
}

/** Returns the submission of a job of which only the id is known. */
function submissionOf(remote: RemoteTask<unknown>, name: string, lane: Lane): Submission {
  return new Submission(remote, { lane, name, data: { v: 1, version: 1, args: [] }, mayExist: true });
}
