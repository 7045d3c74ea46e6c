/** A JSON Schema, or the media types of an answer with a schema for each. */
export type Schema = Readonly<Record<string, unknown>>;

// JSON Schemas of requests, which are validated. The schemas of answers are in answer-schemas.ts.

/** The parameters that {@link idParams} admits. */
export interface Id {
  readonly id: string;
}

/** The query that {@link queueQuery} admits. */
export interface InQueue {
  readonly queue?: string;
}

/** The query that {@link waitQuery} admits. */
export interface WaitQuery extends InQueue {
  /** Seconds. */
  readonly wait?: number;
}

const text = { type: "string", minLength: 1, maxLength: 256 };
const milliseconds = { type: "number", minimum: 0, description: "Milliseconds." };

export const jobState: Schema = {
  type: "string",
  enum: ["waiting", "delayed", "active", "waiting-children", "completed", "failed", "cancelled", "unknown"],
};

/** The states of a durable run. */
export const runState: Schema = { type: "string", enum: [...(jobState["enum"] as string[]), "parked"] };

const limit = { type: "integer", minimum: 1, maximum: 1_000, default: 50 };
const seconds = { type: "number", minimum: 0, maximum: 300 };
const cursor = { type: "string", maxLength: 8_192, description: "The next of an earlier page." };

const tag = { type: "string", minLength: 1, maxLength: 64 };
const since = { type: "number", minimum: 0, description: "Milliseconds since 1970." };

export const activityQuery: Schema = {
  type: "object",
  additionalProperties: false,
  properties: {
    queue: text,
    last: { ...milliseconds, minimum: 1, default: 3_600_000 },
    from: { ...since, description: "Only spans that begin then or later; milliseconds since 1970." },
  },
};

export const failedQuery: Schema = {
  type: "object",
  additionalProperties: false,
  properties: { queue: text, cursor },
};

export const retryBody: Schema = {
  type: ["object", "null"], // A request without a body retries all failed jobs.
  additionalProperties: false,
  properties: {
    task: text,
    error: {
      type: "object",
      additionalProperties: false,
      required: ["name", "message"],
      properties: { name: { type: "string" }, message: { type: "string" } },
    },
    cursor,
  },
};

export const submitBody: Schema = {
  type: ["object", "null"], // A request without a body is a call without arguments.
  additionalProperties: false,
  properties: {
    args: { type: "array", items: {}, description: "The task's arguments." },
    queue: text,
    id: {
      ...text,
      maxLength: 200,
      description: "An id of your own; two submissions with one id are one job.",
    },
    delay: milliseconds,
    priority: { type: "integer", minimum: 1, maximum: 2_097_151 },
    attempts: { type: "integer", minimum: 1, maximum: 1_000 },
    timeout: milliseconds,
    deadline: milliseconds,
    backoff: {
      type: "object",
      additionalProperties: false,
      required: ["type", "delay"],
      properties: {
        type: { type: "string", enum: ["fixed", "exponential"] },
        delay: milliseconds,
        jitter: { type: "number", minimum: 0, maximum: 1 },
        maxDelay: milliseconds,
      },
    },
    deduplicate: {
      description:
        "The key of the work, or an object with the key: a duplicate is folded into the job of the key.",
      oneOf: [
        { type: "string", minLength: 1, maxLength: 200 },
        {
          type: "object",
          additionalProperties: false,
          required: ["key"],
          properties: {
            key: { type: "string", minLength: 1, maxLength: 200 },
            ttl: { ...milliseconds, minimum: 1 },
            extend: { type: "boolean" },
            replace: { type: "boolean" },
            reschedule: { type: "boolean" },
            keepLastIfActive: { type: "boolean" },
          },
        },
      ],
    },
    tags: { type: "array", maxItems: 16, items: { type: "string", minLength: 1, maxLength: 64 } },
    limitKey: {
      type: "string",
      maxLength: 256,
      description: "The key under which the limits of the task count the job, for limits that have a key.",
    },
  },
};

export const idParams: Schema = { type: "object", properties: { id: text }, required: ["id"] };
export const nameParams: Schema = { type: "object", properties: { name: text }, required: ["name"] };

export const queueQuery: Schema = {
  type: "object",
  additionalProperties: false,
  properties: { queue: text },
};

export const logsQuery: Schema = {
  type: "object",
  additionalProperties: false,
  properties: { queue: text, from: { type: "integer", minimum: 0, maximum: 2 ** 31, default: 0 } },
};

export const waitQuery: Schema = {
  type: "object",
  additionalProperties: false,
  properties: {
    queue: text,
    wait: { ...seconds, description: "Seconds to wait for the end of the job." },
  },
};

export const searchQuery: Schema = {
  type: "object",
  additionalProperties: false,
  properties: {
    queue: text,
    state: jobState,
    text: {
      type: "string",
      maxLength: 256,
      description: "A text in the id, the name of the task or the arguments.",
    },
    task: { ...text, description: "The name of the task." },
    tag,
    lane: { type: "string", enum: ["loop", "thread", "workflow"] },
    since: { ...since, description: "Only jobs that were submitted since then; milliseconds since 1970." },
    failure: {
      type: "string",
      maxLength: 8_192,
      description: "The key of a group of GET /failed: only its jobs.",
    },
    limit,
    cursor,
  },
};

export const runsQuery: Schema = {
  type: "object",
  additionalProperties: false,
  properties: {
    queue: text,
    name: { ...text, description: "The name of the workflow." },
    state: runState,
    tag,
    since,
    text: { type: "string", maxLength: 256, description: "A text in the id, name, tags or arguments." },
    limit,
    cursor,
  },
};

export const namedRunParams: Schema = {
  type: "object",
  properties: { id: text, name: text },
  required: ["id", "name"],
};

export const signalBody: Schema = {
  type: ["object", "null"], // A signal without a body has no payload.
  additionalProperties: false,
  properties: {
    payload: {},
    key: {
      type: "string",
      minLength: 1,
      maxLength: 200,
      description: "The name of the signal: a repeated signal with the same key is stored once.",
    },
  },
};

export const updateBody: Schema = {
  type: ["object", "null"],
  additionalProperties: false,
  properties: { args: { type: "array", items: {}, description: "The arguments of the update." } },
};

export const updateQuery: Schema = {
  type: "object",
  additionalProperties: false,
  properties: {
    queue: text,
    wait: { ...seconds, default: 30, description: "Seconds to wait for the answer." },
  },
};

export const messageBody: Schema = {
  type: ["object", "null"],
  additionalProperties: false,
  properties: { message: { type: "string", maxLength: 500 } },
};

export const cancelQuery: Schema = {
  type: "object",
  additionalProperties: false,
  properties: { queue: text, reason: { type: "string", maxLength: 500 } },
};

export const scheduleBody: Schema = {
  type: "object",
  additionalProperties: false,
  required: ["task"],
  properties: {
    task: text,
    queue: text,
    args: { type: "array", items: {}, default: [] },
    cron: text,
    every: { type: "integer", minimum: 1, description: "Milliseconds." },
    timezone: text,
  },
};

export const pauseBody: Schema = {
  type: "object",
  additionalProperties: false,
  required: ["paused"],
  properties: { paused: { type: "boolean" } },
};

export const limitBody: Schema = {
  type: "object",
  additionalProperties: false,
  required: ["max", "per"],
  properties: {
    max: { type: "integer", minimum: 1, description: "The number of jobs." },
    per: { ...milliseconds, minimum: 1 },
  },
};

export const limitsQuery: Schema = {
  type: "object",
  additionalProperties: false,
  properties: { queue: text, task: text, limit },
};

export const cleanBody: Schema = {
  type: "object",
  additionalProperties: false,
  required: ["state"],
  properties: {
    state: { type: "string", enum: ["completed", "failed", "cancelled", "waiting", "delayed"] },
    olderThan: { ...milliseconds, description: "Milliseconds since the end, or since the submission." },
    task: text,
    limit: { type: "integer", minimum: 1, maximum: 1_000 },
    cursor,
  },
};

export const drainBody: Schema = {
  type: ["object", "null"], // A request without a body leaves the delayed jobs alone.
  additionalProperties: false,
  properties: { delayed: { type: "boolean", default: false } },
};

export const treeQuery: Schema = {
  type: "object",
  additionalProperties: false,
  properties: { format: { type: "string", enum: ["json", "text"] } },
};
