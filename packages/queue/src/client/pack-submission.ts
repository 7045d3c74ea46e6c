import type { ResolvedTaskOptions } from "../definition/define-task.ts";
import { encodeArguments } from "../wire/job-data.ts";
import type { PackResult } from "../wire/pack.ts";
import type { CallToJob, Surroundings } from "./call-to-job.ts";
import { checkEach } from "./check-arguments.ts";
import type { JobClient } from "./job-client.ts";
import type { Pack } from "./remote-map.ts";
import type { RemoteTask } from "./remote-task.ts";
import type { SubmitOptions } from "./submit-options.ts";

/** The calls that are to travel as one job, and what holds for each of them. */
interface PackTerms {
  readonly task: ResolvedTaskOptions;
  readonly chunk: readonly (readonly unknown[])[];
  readonly options: SubmitOptions;
  readonly surroundings: Surroundings;
}

/** Submits calls as one job. A call whose arguments are refused or cannot be sent fails alone; the others are sent. */
export async function startPack(client: JobClient, jobs: CallToJob, terms: PackTerms): Promise<Pack> {
  const { task, chunk } = terms;
  const size = chunk.length;
  const { accepted, refused } = await checkEach(task, chunk);
  if (accepted.length === 0) return { size, refused, task: undefined };
  try {
    return { size, refused, task: submitPack(client, jobs, terms, accepted) };
  } catch (error) {
    const sendable = withoutUnsendable(accepted, refused);
    if (sendable.length === accepted.length || sendable.length === 0) {
      // Either no call by itself is to blame, or each is.
      for (let at = 0; at < size; at++) if (!refused.has(at)) refused.set(at, error);
      return { size, refused, task: undefined };
    }
    return { size, refused, task: submitPack(client, jobs, terms, sendable) };
  }
}

function submitPack(
  client: JobClient,
  jobs: CallToJob,
  { task, options, surroundings }: PackTerms,
  calls: readonly (readonly unknown[])[],
): RemoteTask<PackResult> {
  const remote = jobs.remoteFor<PackResult>(task, {});
  try {
    // The attempts are the items' own; a pack as a whole is run again only when its worker died.
    client.submit(jobs.submission(remote, task, calls, options, surroundings, { pack: true }));
    return remote;
  } catch (error) {
    remote.abandon(error);
    throw error;
  }
}

/** The calls that can be sent; each of the others is refused at its place among all. */
function withoutUnsendable(
  accepted: readonly (readonly unknown[])[],
  refused: Map<number, unknown>,
): readonly (readonly unknown[])[] {
  let place = -1;
  const before = new Set(refused.keys());
  return accepted.filter((args) => {
    do place++;
    while (before.has(place));
    try {
      encodeArguments(args);
      return true;
    } catch (error) {
      refused.set(place, error);
      return false;
    }
  });
}
