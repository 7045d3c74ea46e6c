import { jobState, runState } from "./schemas.ts";
import type { Schema } from "./schemas.ts";

// JSON Schemas of answers, for the OpenAPI document; test/service/openapi.test.ts compares the answers with them. Other
// properties are allowed, because workers of other versions also store records.

const lane: Schema = { type: "string", enum: ["loop", "thread", "workflow"] };
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

const errorFields = { name: text, message: text, code: text, stack: text };
const error = object(errorFields, "code", "stack");

const taskLimit = {
  kind: { type: "string", enum: ["concurrency", "rate"], description: "Of the runs, or of the starts." },
  task: text,
  key: { ...text, description: "The key whose jobs are counted; absent if all jobs of the task are." },
  max: count,
  duration: { ...milliseconds, description: "The milliseconds of a rate." },
  taken: { ...count, description: "The number of slots that are taken." },
  waiting: { ...count, description: "The number of jobs that wait for a slot." },
};

const dueAt: Schema = {
  ...time,
  description: "The time at which a delayed job is due, or a parked durable run goes on at the latest.",
};

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
    tags: list(text),
    deadline: time,
    timeout: count,
    version: { ...count, description: "The version of the task of a durable run." },
    calls: { ...count, description: "The number of its calls, if the job is a pack of queue.map." },
    progress: {},
    submittedAt: time,
    delay: milliseconds,
    dueAt,
    recoveries: {
      ...count,
      description: "The number of workers that ran the job and died, or lost its lock.",
    },
    priority: count,
    limitedBy: {
      ...object(
        { ...taskLimit, ahead: { ...count, description: "The number of jobs before it in the line." } },
        "key",
        "duration",
      ),
      description: "The limit for a slot of which a delayed job waits, if one job is read.",
    },
    startedAt: time,
    finishedAt: time,
    value: {
      description:
        "The value that the task returned; a value that JSON cannot express is an object with the key $taskloom.",
    },
    error,
    failures: {
      ...list(
        object(
          { ...errorFields, attempt: count, startedAt: time, endedAt: time },
          "code",
          "stack",
          "attempt",
          "startedAt",
          "endedAt",
        ),
      ),
      description:
        "The errors and the times of the failed attempts, if one job is read; a retry begins with attempt 1.",
    },
    reason: { ...text, description: "The reason of the cancellation." },
    omitted: {
      type: "object",
      additionalProperties: count,
      description: "The large fields that a listing leaves out, with their sizes in bytes.",
    },
    unreadable: { ...text, description: "The reason why the record is not a submission of Taskloom." },
    data: { description: "The data of the record, if the record is not a submission." },
    notice: { ...text, description: "The reason why no worker runs the job for now." },
  },
  "tags",
  "deadline",
  "timeout",
  "version",
  "calls",
  "progress",
  "delay",
  "dueAt",
  "recoveries",
  "priority",
  "limitedBy",
  "startedAt",
  "finishedAt",
  "value",
  "error",
  "failures",
  "reason",
  "omitted",
  "unreadable",
  "data",
  "notice",
);

const searched: Schema = { ...count, description: "The number of jobs that were read for this page." };
const next: Schema = {
  ...text,
  description: "The cursor of the next page; absent on the last page.",
};

export const jobPageSchema: Schema = object(
  {
    jobs: list(jobSchema),
    searched,
    unsearched: {
      ...count,
      description: "The number of these jobs whose arguments are too large to search.",
    },
    next,
  },
  "unsearched",
  "next",
);

export const runSchema: Schema = object(
  {
    id: text,
    task: text,
    version: count,
    queue: text,
    state: runState,
    args: list({}),
    tags: list(text),
    deadline: time,
    timeout: count,
    submittedAt: time,
    dueAt,
    generation: { ...count, description: "The number of its earlier histories, by continueAs." },
    length: { ...count, description: "The number of ticks in its history." },
    unread: { ...count, description: "The number of deliveries that the run has not read." },
    deaths: { ...count, description: "The number of workers that died at this length." },
  },
  "version",
  "tags",
  "deadline",
  "timeout",
  "dueAt",
);

export const runPageSchema: Schema = object({ runs: list(runSchema), searched, next }, "next");

const kinds = list({
  type: "object",
  additionalProperties: true,
  properties: { kind: text },
  required: ["kind"],
});

export const historySchema: Schema = list(object({ n: count, time, deliveries: kinds, commands: kinds }));

export const updateAnswerSchema: Schema = object(
  { state: { type: "string", enum: ["completed", "failed", "pending"] }, value: {}, error },
  "value",
  "error",
);

export const logsSchema: Schema = list(text);

export const eventsSchema: Schema = {
  description: "Server-sent events state, progress, log and result, with JSON data.",
  content: { "text/event-stream": { schema: text } },
};

export const failedPageSchema: Schema = object(
  {
    groups: list(
      object({
        key: { ...text, description: "Equal keys of two pages are one group." },
        task: text,
        error,
        count,
        lastAt: time,
        ids: { ...list(text), description: "The ids of the latest jobs, at most 1,000." },
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
  additionalProperties: object(
    {
      loop: laneCounts,
      thread: laneCounts,
      workflow: laneCounts,
      isPaused: { type: "boolean" },
      workers: { ...count, description: "The number of live workers that serve the queue." },
      limit: {
        ...object({ max: count, per: milliseconds }),
        description: "The rate limit of each lane, if there is one.",
      },
    },
    "limit",
  ),
};

export const limitsSchema: Schema = object({
  queues: {
    ...list(object({ queue: text, max: count, per: milliseconds })),
    description: "The queues with a rate limit, which each lane of the queue has.",
  },
  tasks: {
    ...list(object({ ...taskLimit, queue: text, lane }, "key", "duration")),
    description: "The limits of tasks that are in use; those for which the most jobs wait come first.",
  },
  total: { ...count, description: "The number of limits of tasks that are in use." },
});

export const drainedSchema: Schema = object({
  drained: { ...count, description: "The number of cancelled jobs." },
});

export const cleanedSchema: Schema = object({ removed: list(text), next }, "next");

const runningJob = object(
  { id: text, task: text, queue: text, lane, attempt: count, calls: count, startedAt: time },
  "calls",
);

// The schema has no reference to itself, because not every reader of OpenAPI documents follows one.
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

export const otherWorkersSchema: Schema = list(
  object(
    {
      id: text,
      queues: list(text),
      tasks: {
        type: "object",
        additionalProperties: count,
        description: "The versions of the tasks by their names.",
      },
      process: object({ host: text, pid: count }),
    },
    "process",
  ),
);

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
      tasks: list(
        object(
          {
            name: text,
            version: count,
            runsOn: lane,
            attempts: count,
            limits: list(
              object(
                {
                  kind: taskLimit.kind,
                  max: count,
                  window: { ...milliseconds, description: "Milliseconds of a rate, 0 of a concurrency." },
                  key: { type: "string", enum: ["limitKey", "function"] },
                },
                "key",
              ),
            ),
          },
          "limits",
        ),
      ),
      lanes: object({ loop: laneView, thread: laneView, workflow: laneView }, "workflow"),
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

export const shardsSchema: Schema = object({
  count: {
    ...count,
    description: "The number of shards that receive new jobs; 0 on an engine without shards.",
  },
  earlier: {
    ...list(count),
    description: "The earlier numbers of shards that still have jobs, during a change.",
  },
  shards: list(
    object({
      shard: count,
      place: {
        ...text,
        description: "The server of the shard, or its hash tag and the master that has its slot.",
      },
      state: { type: "string", enum: ["open", "draining", "down"] },
      open: { ...count, description: "The number of jobs that have not ended." },
      left: {
        ...count,
        description: "The number of jobs and schedules that an earlier number has stored here.",
      },
    }),
  ),
  left: { ...count, description: "The jobs and schedules of earlier numbers; 0 when a change is complete." },
  readAt: time,
});

export const treeSchema: Schema = {
  description: "The live tasks of a worker.",
  content: {
    "application/json": { schema: object({ jobs: list(runningJob), ...forest }) },
    "text/plain": { schema: text },
  },
};

export const idSchema: Schema = object({ id: { ...text, description: "The id of the job." } });

export const schedulesSchema: Schema = list(
  object(
    {
      id: text,
      task: text,
      queue: text,
      lane,
      cron: text,
      every: milliseconds,
      timezone: text,
      next: time,
      isPaused: { type: "boolean" },
    },
    "cron",
    "every",
    "timezone",
    "next",
  ),
);

const flag: Schema = { type: "boolean" };

export const aboutSchema: Schema = object({
  version: text,
  engine: text,
  access: { type: "string", enum: ["operate", "read"] },
  hasBoard: flag,
  hasMetrics: flag,
  hasShards: flag,
});

const percentiles = object({ p50: milliseconds, p95: milliseconds });

export const activitySchema: Schema = object({
  length: { ...milliseconds, description: "The length of each span, in milliseconds." },
  from: time,
  to: time,
  points: list(
    object(
      {
        time,
        completed: count,
        failed: count,
        cancelled: count,
        retrying: count,
        waiting: {
          ...count,
          description: "The greatest number that was counted in the span, as of the next two.",
        },
        delayed: count,
        active: count,
        wait: percentiles,
        run: percentiles,
      },
      "wait",
      "run",
    ),
  ),
});
