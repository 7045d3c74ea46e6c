import type { TaskLimits } from "../../contract/task-limits.ts";
import { EngineUnsupportedError } from "../../errors.ts";

/**
 * Returns the limits of a queue with shards: it has none, and refuses tasks that ask for some. A limit counts all jobs of a key
 * in one place, and a slot belongs to the lock of its job, which is on the job's shard. docs/decisions/0020-shards.md has the
 * alternatives.
 *
 * A queue with one shard refuses, too, since its number of shards can grow while jobs of a limit wait.
 */
export function refusedLimits(url: string): TaskLimits {
  const refuse = (task: string): never => {
    throw new EngineUnsupportedError(
      `Task ${task} cannot have a limit on ${url}: a queue with shards has no \`concurrency\`, \`rateLimit\` and \`limitKey\` of tasks. Use an engine on one server for the queue of this task, or remove the limit`,
    );
  };
  return {
    refuse,
    // A caller that has not asked is refused, too, before its job is stored or runs.
    join: async (lane) => refuse(`of lane ${lane}`),
    ask: async (_lane, id) => refuse(`of job ${id}`),
    release: async () => {},
    wake: async () => {},
    sweep: async () => {},
    drop: async () => {},
    list: async () => [],
    place: async () => undefined,
  };
}
