import { jobState } from "./schemas.ts";
import type { Schema } from "./schemas.ts";

// JSON Schemas of answers, for the OpenAPI document; test/service/openapi.test.ts holds the answers to them. Workers of
// other versions tell of themselves too, so that what they say more is allowed.

const lane: Schema = { type: "string", enum: ["loop", "thread"] };
const text: Schema = { type: "string" };
const count: Schema = { type: "integer", minimum: 0 };
const time: Schema = { type: "number", description: "Milliseconds since 1970." };
const milliseconds: Schema = { type: "number", minimum: 0, description: "Milliseconds." };

function object(properties: Readonly<Record<string, Schema>>, ...optional: readonly string[]): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", additionalProperties: true, properties, required };
}

function list(items: Schema): Schema {
  return { type: "array", items };
}

const error = object({ name: text, message: text, code: text, stack: text }, "code", "stack");

export const jobSchema: Schema = object(
  {
    id: text,
    task: text,
    queue: text,
    lane,
    state: jobState,
    attempts: count,
    maxAttempts: count,
    args: list({}),
    calls: { ...count, description: "How many calls it carries, when it is one pack of queue.map." },
    progress: {},
    submittedAt: time,
    startedAt: time,
    finishedAt: time,
    value: {
      description:
        "The value that the task returned; what JSON cannot say is an object with the key $taskloom.",
    },
    error,
    reason: { ...text, description: "Why it was cancelled." },
    omitted: {
      type: "object",
      additionalProperties: count,
      description: "Fields that are left out of a listing because they are large, with their bytes.",
    },
    unreadable: { ...text, description: "Why the record is not one that Taskloom wrote." },
    data: { description: "The record's data, where it is not a submission." },
    notice: { ...text, description: "Why nothing will run it for now." },
  },
  "calls",
  "progress",
  "startedAt",
  "finishedAt",
  "value",
  "error",
  "reason",
  "omitted",
  "unreadable",
  "data",
  "notice",
);

const searched: Schema = { ...count, description: "How many jobs were looked at for this answer." };
const next: Schema = {
  ...text,
  description: "The cursor of the next answer; absent when all was looked at.",
};

export const jobPageSchema: Schema = object(
  {
    jobs: list(jobSchema),
    searched,
    unsearched: { ...count, description: "How many jobs of those have arguments too large to search." },
    next,
  },
  "unsearched",
  "next",
);

export const logsSchema: Schema = list(text);

export const eventsSchema: Schema = {
  description: "Server-sent events state, progress, log and result, with JSON as their data.",
  content: { "text/event-stream": { schema: text } },
};

export const failedPageSchema: Schema = object(
  {
    groups: list(
      object({
        task: text,
        error,
        count,
        lastAt: time,
        ids: { ...list(text), description: "The latest ones, at most 1,000." },
      }),
    ),
    searched,
    next,
  },
  "next",
);

export const retryPageSchema: Schema = object(
  { retried: list(text), skipped: list(object({ id: text, code: text, message: text })), next },
  "next",
);

const laneCounts = object({
  waiting: count,
  delayed: count,
  active: count,
  completed: count,
  cancelled: count,
  failed: count,
  oldestWait: milliseconds,
});

export const queuesSchema: Schema = {
  type: "object",
  additionalProperties: object({
    loop: laneCounts,
    thread: laneCounts,
    isPaused: { type: "boolean" },
    workers: { ...count, description: "How many live workers take jobs from it." },
  }),
};

const runningJob = object(
  { id: text, task: text, queue: text, lane, attempt: count, calls: count, startedAt: time },
  "calls",
);

// Without a reference to itself, which not every reader of OpenAPI documents follows: children are nodes like this one.
const node = object(
  {
    name: text,
    state: text,
    stack: list(text),
    waitsFor: text,
    since: milliseconds,
    children: list({ type: "object", additionalProperties: true, description: "Nodes like this one." }),
  },
  "waitsFor",
  "since",
);
const forest = { roots: list(node), total: count };

const laneView = object({ running: count, finished: count, limit: count });

export const workersSchema: Schema = list(
  object(
    {
      id: text,
      slot: text,
      host: text,
      pid: count,
      pidSpace: text,
      node: text,
      version: text,
      startedAt: time,
      seenAt: time,
      silentFor: milliseconds,
      state: { type: "string", enum: ["running", "draining", "dead"] },
      queues: list(text),
      tasks: list(object({ name: text, version: count, runsOn: lane, attempts: count })),
      lanes: object({ loop: laneView, thread: laneView }),
      loop: object({
        delayP50: milliseconds,
        delayP99: milliseconds,
        delayMax: milliseconds,
        utilization: { type: "number", minimum: 0, maximum: 1 },
      }),
      admission: object({ isThrottled: { type: "boolean" }, reductions: count }),
      memory: object({ rss: count, heap: count }),
      jobs: list(runningJob),
      tree: object(forest),
    },
    "silentFor",
  ),
);

export const treeSchema: Schema = {
  description: "A worker's live tasks.",
  content: {
    "application/json": { schema: object({ jobs: list(runningJob), ...forest }) },
    "text/plain": { schema: text },
  },
};

export const schedulesSchema: Schema = list(
  object(
    { id: text, task: text, queue: text, lane, cron: text, every: milliseconds, timezone: text, next: time },
    "cron",
    "every",
    "timezone",
    "next",
  ),
);
