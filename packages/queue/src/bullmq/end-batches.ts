import { ReplyError } from "ioredis";
import type { Cluster, Redis } from "ioredis";

/** So many ends are stored at once: enough to share what a script costs, and few, since Redis does nothing else meanwhile. */
const endsAtMost = 8;
/** How many keys all ends of a lane have in common. */
const commonKeys = 13;

type Args = readonly (string | number | Buffer | undefined)[];

/** What is used of BullMQ's backend for Redis: the one place through which all its scripts go. */
export interface ScriptRunner {
  execCommand(client: unknown, name: string, args: Args): Promise<unknown>;
}

interface Ending {
  readonly args: Args;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

type BatchCommand = (...args: unknown[]) => Promise<unknown[]>;

/**
 * Has jobs that complete in one turn stored by one script. It is BullMQ's own, run for each of them: made for one, it
 * spends more on its start, where it makes some twenty functions, than on the job.
 *
 * A job that ends alone goes as ever, and so do all when BullMQ's script is not what it was when this was written.
 */
export function batchEnds(backend: ScriptRunner, client: Redis | Cluster, isAlone: () => boolean): void {
  const endOne = backend.execCommand.bind(backend);
  let waiting: Ending[] = [];
  let connection: unknown;
  let batch: BatchCommand | undefined;

  const flush = (): void => {
    const endings = waiting;
    waiting = [];
    batch ??= defineBatch(client);
    if (batch !== undefined && endings.length > 1) void endAll(batch, endings);
    else
      for (const { args, resolve, reject } of endings)
        endOne(connection, "moveToFinished", args).then(resolve, reject);
  };

  backend.execCommand = (through, name, args) => {
    if (name !== "moveToFinished" || args[18] !== "completed" || isAlone())
      return endOne(through, name, args);
    connection = through;
    return new Promise((resolve, reject) => {
      if (waiting.length === 0) process.nextTick(flush);
      waiting.push({ args, resolve, reject });
      if (waiting.length === endsAtMost) flush();
    });
  };
}

/** BullMQ's arguments are 14 keys, of which one is the job's, and nine values, of which six are. */
async function endAll(batch: BatchCommand, endings: readonly Ending[]): Promise<void> {
  const { args: first } = endings[0]!;
  try {
    const results = await batch(
      commonKeys + endings.length,
      ...first.slice(0, 11),
      ...first.slice(12, 14),
      ...endings.map(({ args }) => args[11]),
      first[16],
      first[18],
      first[20],
      ...endings.flatMap(({ args }) => [args[14], args[15], args[17], args[19], args[21], args[22] ?? ""]),
    );
    for (const [at, { resolve, reject }] of endings.entries()) {
      const result = results[at];
      if (Array.isArray(result) && result[0] === errorMark) reject(new ReplyError(String(result[1])));
      else resolve(result);
    }
  } catch (error) {
    for (const { reject } of endings) reject(error);
  }
}

/** The script, once BullMQ has given its own to the client; undefined when that cannot be used. */
function defineBatch(client: Redis | Cluster): BatchCommand | undefined {
  const { scriptsSet = {} } = client as unknown as { scriptsSet?: Record<string, { readonly lua: string }> };
  const name = Object.keys(scriptsSet).find((each) => each.startsWith("moveToFinished:"));
  const lua = name === undefined ? undefined : batchScript(scriptsSet[name]?.lua ?? "");
  if (lua === undefined) return undefined;
  client.defineCommand("taskloomEndAll", { lua });
  const { taskloomEndAll } = client as unknown as { taskloomEndAll: BatchCommand };
  return taskloomEndAll.bind(client);
}

/** What stands in a result's place for an end that failed. */
const errorMark = "taskloom-error";
/** Where BullMQ's script begins, behind the functions that it is made of. */
const beginning = "local jobIdKey = KEYS[12]";

/** Makes BullMQ's script for one end into one for many; undefined when it is not what is expected. */
export function batchScript(lua: string): string | undefined {
  const [functions, body, ...more] = lua.split(beginning);
  if (functions === undefined || body === undefined || more.length > 0) return undefined;
  const code = functions.replaceAll(/--\[\[[\s\S]*?\]\]/g, "").replaceAll(/--.*$/gm, "");
  if (/\b(?:KEYS|ARGV)\b/.test(code)) return undefined; // They are to know nothing of a single job.
  return `${functions}
local function finish(KEYS, ARGV)
${beginning}${body}
end
local K, A, results = KEYS, ARGV, {}
for i = 1, #K - ${commonKeys} do
  local at = 3 + (i - 1) * 6
  local keys = { K[1], K[2], K[3], K[4], K[5], K[6], K[7], K[8], K[9], K[10], K[11], K[${commonKeys} + i], K[12], K[13] }
  local args = { A[at + 1], A[at + 2], A[1], A[at + 3], A[2], A[at + 4], A[3], A[at + 5], A[at + 6] }
  local ok, result = pcall(finish, keys, args)
  if not ok then result = { '${errorMark}', type(result) == 'table' and result.err or tostring(result) } end
  if result == nil then result = false end
  results[i] = result
end
return results
`;
}
