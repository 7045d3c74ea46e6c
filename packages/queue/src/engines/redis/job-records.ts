import type { Redis } from "ioredis";
import { ABSENT_TEXT, TEXT_FIELDS, textsBy } from "../../contract/job-record.ts";
import type {
  FieldLimits,
  JobRecord,
  StateOrder,
  StoredState,
  StoredText,
  TextField,
} from "../../contract/job-record.ts";
import type { RedisClient } from "./redis-client.ts";

/** The list or sorted set of each state; lists have the newest job first. */
const sets: Readonly<Record<StoredState, { readonly key: string; readonly isList: boolean }>> = {
  active: { key: "active", isList: true },
  waiting: { key: "wait", isList: true },
  paused: { key: "paused", isList: true },
  prioritized: { key: "prioritized", isList: false },
  delayed: { key: "delayed", isList: false },
  "waiting-children": { key: "waiting-children", isList: false },
  failed: { key: "failed", isList: false },
  completed: { key: "completed", isList: false },
};

const smallFields = ["name", "timestamp", "processedOn", "finishedOn", "atm", "ats"] as const;

/** The ids of a state, the newest or the oldest first, from the `from`th on. */
export async function idsIn(
  client: RedisClient,
  base: string,
  state: StoredState,
  from: number,
  count: number,
  order: StateOrder,
): Promise<string[]> {
  const { key, isList } = sets[state];
  const name = `${base}:${key}`;
  const to = from + count - 1;
  if (!isList)
    return await (order === "newest"
      ? client.zrevrange(name, from, to)
      : client.zrange(name, `${from}`, `${to}`));
  if (order === "newest") return await client.lrange(name, from, to);
  return (await client.lrange(name, -(to + 1), -(from + 1))).toReversed();
}

/**
 * Reads jobs by id, in two round trips: first the sizes of the fields, then those that are small enough. Redis itself
 * cannot cut a hash's field short.
 */
export async function readRecords(
  client: RedisClient,
  base: string,
  ids: readonly string[],
  limits: FieldLimits,
): Promise<(JobRecord | undefined)[]> {
  if (ids.length === 0) return [];
  const wanted = TEXT_FIELDS.filter((field) => limits[field] !== undefined);
  const sizes = client.pipeline();
  for (const id of ids) {
    const key = `${base}:${id}`;
    sizes.hmget(key, ...smallFields);
    for (const field of wanted) sizes.hstrlen(key, field);
  }
  const first = await answers(sizes);
  const perJob = wanted.length + 1;
  const texts = client.pipeline();
  const asked: { readonly at: number; readonly fields: readonly TextField[] }[] = [];
  for (const [at, id] of ids.entries()) {
    const fields = wanted.filter((field, index) => {
      const bytes = (first[at * perJob + 1 + index] as number | null) ?? 0;
      return bytes > 0 && bytes <= limits[field]!;
    });
    if (fields.length === 0) continue;
    asked.push({ at, fields });
    texts.hmget(`${base}:${id}`, ...fields);
  }
  const second = asked.length === 0 ? [] : await answers(texts);
  const found = new Map(
    asked.map(({ at, fields }, index) => [
      at,
      new Map(
        fields.map((field, place) => [field, (second[index] as (string | null)[])[place] ?? undefined]),
      ),
    ]),
  );
  return ids.map((id, at) => {
    const small = first[at * perJob] as (string | null)[] | null;
    const [name, timestamp, processedOn, finishedOn, attempts, starts] = small ?? [];
    if (name == null && timestamp == null) return undefined;
    const text = (field: TextField): StoredText => {
      const index = wanted.indexOf(field);
      if (index < 0) return ABSENT_TEXT;
      return { text: found.get(at)?.get(field), bytes: first[at * perJob + 1 + index] as number };
    };
    return {
      id,
      name: name ?? "",
      timestamp: numberOf(timestamp) ?? 0,
      processedOn: numberOf(processedOn),
      finishedOn: numberOf(finishedOn),
      attemptsMade: numberOf(attempts) ?? 0,
      attemptsStarted: numberOf(starts) ?? 0,
      texts: textsBy(text),
    };
  });
}

async function answers(pipeline: ReturnType<Redis["pipeline"]>): Promise<unknown[]> {
  const rows = (await pipeline.exec()) ?? [];
  return rows.map(([error, value]) => {
    if (error === null) return value;
    // Other keys of a queue begin like a job's; one that is no hash is no job.
    if (error.message.startsWith("WRONGTYPE")) return null;
    throw error;
  });
}

function numberOf(text: string | null | undefined): number | undefined {
  const number = text == null ? Number.NaN : Number(text);
  return Number.isFinite(number) ? number : undefined;
}
