import { cancelOnAbort } from "@taskloom/loop";
import { checkEach } from "../definition/check-arguments.ts";
import type { ResolvedTaskOptions } from "../definition/define-task.ts";
import { encodeArguments } from "../wire/job-data.ts";
import type { PackResult } from "../wire/pack.ts";
import type { JobClient } from "./job-client.ts";
import type { JobFactory, SubmissionContext } from "./job-factory.ts";
import type { Pack } from "./remote-map.ts";
import type { RemoteTask } from "./remote-task.ts";
import type { SubmitOptions } from "./submit-options.ts";

type Arguments = readonly unknown[];

/** The calls of a pack, and the options and the context that all of them share. */
interface PackCalls {
  readonly task: ResolvedTaskOptions;
  readonly chunk: readonly Arguments[];
  readonly options: SubmitOptions;
  readonly context: SubmissionContext;
}

/**
 * Submits calls as one job. A call whose arguments are refused or cannot be sent fails by itself; the other calls are
 * sent.
 */
export async function startPack<R>(client: JobClient, jobs: JobFactory, calls: PackCalls): Promise<Pack<R>> {
  const { task, chunk } = calls;
  const { checked, refused } = await checkEach(task, chunk);
  const pack = { size: chunk.length, refused, name: task.name };
  const accepted = checked.filter((args) => args !== undefined);
  if (accepted.length === 0) return { ...pack, task: undefined };
  try {
    return { ...pack, task: submitPack<R>(client, jobs, calls, accepted) };
  } catch (error) {
    const sendable = sendableCalls(checked, refused);
    if (sendable.length === accepted.length || sendable.length === 0) {
      // Either all calls are at fault, or the fault belongs to no single call.
      for (let at = 0; at < pack.size; at++) if (!refused.has(at)) refused.set(at, error);
      return { ...pack, task: undefined };
    }
    return { ...pack, task: submitPack<R>(client, jobs, calls, sendable) };
  }
}

function submitPack<R>(
  client: JobClient,
  jobs: JobFactory,
  { task, options, context }: PackCalls,
  calls: readonly Arguments[],
): RemoteTask<PackResult<R>> {
  const remote = jobs.newTask<PackResult<R>>(task, {});
  try {
    // Attempts belong to the items. The pack as a whole runs again only if its worker dies.
    client.submit(jobs.submission(remote, task, calls, options, context, { pack: true }));
    if (options.signal !== undefined) cancelOnAbort(remote, options.signal);
    return remote;
  } catch (error) {
    remote.abandon(error);
    throw error;
  }
}

/** Returns the calls that can be sent, and adds the errors of the others to `refused`. */
function sendableCalls(
  checked: readonly (Arguments | undefined)[],
  refused: Map<number, unknown>,
): readonly Arguments[] {
  const sendable: Arguments[] = [];
  for (const [index, args] of checked.entries()) {
    if (args === undefined) continue;
    try {
      encodeArguments(args);
      sendable.push(args);
    } catch (error) {
      refused.set(index, error);
    }
  }
  return sendable;
}
