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

/** The list or sorted set of each state. Lists have the newest job first. */
const SETS: Readonly<Record<StoredState, { readonly key: string; readonly isList: boolean }>> = {
  active: { key: "active", isList: true },
  waiting: { key: "wait", isList: true },
  paused: { key: "paused", isList: true },
  prioritized: { key: "prioritized", isList: false },
  delayed: { key: "delayed", isList: false },
  "waiting-children": { key: "waiting-children", isList: false },
  failed: { key: "failed", isList: false },
  completed: { key: "completed", isList: false },
};

const SMALL_FIELDS = ["name", "timestamp", "processedOn", "finishedOn", "atm", "ats", "stc"] as const;

/** {@link Engine.idsIn} on BullMQ's keys below `base`. */
export async function idsIn(
  client: RedisClient,
  base: string,
  state: StoredState,
  from: number,
  count: number,
  order: StateOrder,
): Promise<string[]> {
  const { key, isList } = SETS[state];
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
 * {@link Engine.readRecords} on BullMQ's keys below `base`, in two round trips: first the sizes of the fields, then the fields
 * that are small enough. Redis cannot return a part of a hash's field.
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
    sizes.hmget(key, ...SMALL_FIELDS);
    sizes.zscore(`${base}:delayed`, id);
    for (const field of wanted) sizes.hstrlen(key, field);
  }
  const first = await answers(sizes);
  const perJob = wanted.length + 2;
  const texts = client.pipeline();
  const asked: { readonly at: number; readonly fields: readonly TextField[] }[] = [];
  for (const [at, id] of ids.entries()) {
    const fields = wanted.filter((field, index) => {
      const bytes = sizeAt(first, at * perJob + 2 + index);
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
      new Map(fields.map((field, place) => [field, textsAt(second, index)[place] ?? undefined])),
    ]),
  );
  return ids.map((id, at) => {
    const small = textsAt(first, at * perJob);
    const [name, timestamp, processedOn, finishedOn, attempts, starts, recoveries] = small;
    if (name == null && timestamp == null) return undefined;
    const text = (field: TextField): StoredText => {
      const index = wanted.indexOf(field);
      if (index < 0) return ABSENT_TEXT;
      return { text: found.get(at)?.get(field), bytes: sizeAt(first, at * perJob + 2 + index) };
    };
    return {
      id,
      name: name ?? "",
      timestamp: numberOf(timestamp) ?? 0,
      processedOn: numberOf(processedOn),
      finishedOn: numberOf(finishedOn),
      dueAt: dueAt(first[at * perJob + 1]),
      attemptsMade: numberOf(attempts) ?? 0,
      attemptsStarted: numberOf(starts) ?? 0,
      recoveries: numberOf(recoveries) ?? 0,
      texts: textsBy(text),
    };
  });
}

async function answers(pipeline: ReturnType<Redis["pipeline"]>): Promise<unknown[]> {
  const rows = (await pipeline.exec()) ?? [];
  return rows.map(([error, value]) => {
    if (error === null) return value;
    // Other keys of a queue begin like a job's key. A key that is not a hash is not a job.
    if (error.message.startsWith("WRONGTYPE")) return null;
    throw error;
  });
}

/** Returns the answer to HSTRLEN at an index. */
function sizeAt(replies: readonly unknown[], index: number): number {
  const reply = replies[index];
  return typeof reply === "number" ? reply : 0;
}

/** Returns the answer to HMGET at an index. */
function textsAt(replies: readonly unknown[], index: number): readonly (string | null)[] {
  const reply = replies[index];
  return Array.isArray(reply) ? reply : [];
}

/** Returns the due time of a job with this score among the delayed ones: BullMQ keeps 12 bits of the score for an order. */
function dueAt(score: unknown): number | undefined {
  return typeof score === "string" ? Math.floor(Number(score) / 4_096) : undefined;
}

function numberOf(text: string | null | undefined): number | undefined {
  const number = text == null ? Number.NaN : Number(text);
  return Number.isFinite(number) ? number : undefined;
}
