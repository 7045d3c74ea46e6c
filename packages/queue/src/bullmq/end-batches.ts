import { ReplyError } from "ioredis";
import type { Cluster, Redis } from "ioredis";

/** How many ends one script stores: enough to share the cost of the script, and few, since Redis does no other work meanwhile. */
const MAX_ENDS = 8;
/** The number of keys that all ends of a lane have in common. */
const COMMON_KEYS = 13;

type Args = readonly (string | number | Buffer | undefined)[];

/** The part of BullMQ's backend for Redis that is used here: the one method that runs all of its scripts. */
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
 * Stores the jobs that complete in one turn by one script, which runs BullMQ's own script for each of them. BullMQ's script
 * spends more time on its start, where it makes some twenty functions, than on the job.
 *
 * A job that completes alone is stored by BullMQ, and so are all jobs if BullMQ's script is not the one that is expected.
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
      if (waiting.length === MAX_ENDS) flush();
    });
  };
}

/** Of BullMQ's arguments, one of the 14 keys and six of the nine values belong to the job. */
async function endAll(batch: BatchCommand, endings: readonly Ending[]): Promise<void> {
  const { args: first } = endings[0]!;
  try {
    const results = await batch(
      COMMON_KEYS + endings.length,
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
      if (Array.isArray(result) && result[0] === ERROR_MARK) reject(new ReplyError(String(result[1])));
      else resolve(result);
    }
  } catch (error) {
    for (const { reject } of endings) reject(error);
  }
}

/** Returns the script once the client has BullMQ's own; undefined if BullMQ's script cannot be used. */
function defineBatch(client: Redis | Cluster): BatchCommand | undefined {
  const scriptsSet: Record<string, { readonly lua: string }> = Reflect.get(client, "scriptsSet") ?? {};
  const name = Object.keys(scriptsSet).find((each) => each.startsWith("moveToFinished:"));
  const lua = name === undefined ? undefined : batchScript(scriptsSet[name]?.lua ?? "");
  if (lua === undefined) return undefined;
  client.defineCommand("taskloomEndAll", { lua });
  const command: BatchCommand = Reflect.get(client, "taskloomEndAll");
  return command.bind(client);
}

/** The mark of an error in the place of a result. */
const ERROR_MARK = "taskloom-error";
/** The first line of BullMQ's script behind the functions that it consists of. */
const BEGINNING = "local jobIdKey = KEYS[12]";

/** Turns BullMQ's script for one end into a script for many; undefined if the script is not the expected one. */
export function batchScript(lua: string): string | undefined {
  const [functions, body, ...more] = lua.split(BEGINNING);
  if (functions === undefined || body === undefined || more.length > 0) return undefined;
  const code = functions.replaceAll(/--\[\[[\s\S]*?\]\]/g, "").replaceAll(/--.*$/gm, "");
  if (/\b(?:KEYS|ARGV)\b/.test(code)) return undefined; // The functions must not depend on a single job.
  return `${functions}
local function finish(KEYS, ARGV)
${BEGINNING}${body}
end
local K, A, results = KEYS, ARGV, {}
for i = 1, #K - ${COMMON_KEYS} do
  local at = 3 + (i - 1) * 6
  local keys = { K[1], K[2], K[3], K[4], K[5], K[6], K[7], K[8], K[9], K[10], K[11], K[${COMMON_KEYS} + i], K[12], K[13] }
  local args = { A[at + 1], A[at + 2], A[1], A[at + 3], A[2], A[at + 4], A[3], A[at + 5], A[at + 6] }
  local ok, result = pcall(finish, keys, args)
  if not ok then result = { '${ERROR_MARK}', type(result) == 'table' and result.err or tostring(result) } end
  if result == nil then result = false end
  results[i] = result
end
return results
`;
}
