/** A JSON Schema. */
type Schema = Readonly<Record<string, unknown>>;

// JSON Schemas of the HTTP API: what requests are held to, and what the OpenAPI document shows.

const text = { type: "string", minLength: 1, maxLength: 256 };
const milliseconds = { type: "number", minimum: 0, description: "Milliseconds." };

const jobState: Schema = {
  type: "string",
  enum: ["waiting", "delayed", "active", "waiting-children", "completed", "failed", "cancelled", "unknown"],
};

export const errorSchema: Schema = {
  type: "object",
  properties: {
    code: { type: "string", description: "Stable, for programs." },
    message: { type: "string", description: "For people: what is wrong and what to do." },
  },
  required: ["code", "message"],
};

const errorView: Schema = {
  type: "object",
  additionalProperties: true,
  properties: {
    name: { type: "string" },
    message: { type: "string" },
    code: { type: "string" },
    stack: { type: "string" },
  },
};

export const jobSchema: Schema = {
  type: "object",
  additionalProperties: true,
  properties: {
    id: { type: "string" },
    task: { type: "string" },
    queue: { type: "string" },
    lane: { type: "string", enum: ["loop", "thread"] },
    state: jobState,
    attempts: { type: "integer" },
    maxAttempts: { type: "integer" },
    args: { type: "array", items: {} },
    calls: { type: "integer", description: "How many calls it carries, when it is one pack of queue.map." },
    progress: {},
    submittedAt: { type: "number" },
    startedAt: { type: "number" },
    finishedAt: { type: "number" },
    value: {
      description: "What the task returned; what JSON cannot say is an object with the key $taskloom.",
    },
    error: errorView,
    reason: { type: "string" },
    omitted: {
      type: "object",
      additionalProperties: { type: "number" },
      description: "Fields that are left out of a listing because they are large, with their bytes.",
    },
    unreadable: { type: "string", description: "Why the record is not one that Taskloom wrote." },
    data: { description: "The record's data, where it is not a submission." },
    notice: { type: "string", description: "Why nothing will run it for now." },
  },
};

const searched = { type: "integer", description: "How many jobs were looked at for this answer." };
const next = { type: "string", description: "The cursor of the next answer; absent when all was looked at." };

export const jobPageSchema: Schema = {
  type: "object",
  required: ["jobs", "searched"],
  properties: {
    jobs: { type: "array", items: jobSchema },
    searched,
    unsearched: {
      type: "integer",
      description: "How many jobs of those have arguments too large to search.",
    },
    next,
  },
};

export const failedPageSchema: Schema = {
  type: "object",
  required: ["groups", "searched"],
  properties: {
    groups: {
      type: "array",
      items: {
        type: "object",
        required: ["task", "error", "count", "lastAt", "ids"],
        properties: {
          task: { type: "string" },
          error: errorView,
          count: { type: "integer" },
          lastAt: { type: "number" },
          ids: { type: "array", items: { type: "string" }, description: "The latest ones, at most 1,000." },
        },
      },
    },
    searched,
    next,
  },
};

export const retryPageSchema: Schema = {
  type: "object",
  required: ["retried", "skipped"],
  properties: {
    retried: { type: "array", items: { type: "string" } },
    skipped: {
      type: "array",
      items: {
        type: "object",
        properties: { id: { type: "string" }, code: { type: "string" }, message: { type: "string" } },
      },
    },
    next,
  },
};

const cursor = { type: "string", maxLength: 8_192, description: "The next of an earlier answer." };

export const failedQuery: Schema = {
  type: "object",
  additionalProperties: false,
  properties: { queue: text, cursor },
};

export const retryBody: Schema = {
  type: "object",
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
  type: "object",
  additionalProperties: false,
  properties: {
    args: { type: "array", items: {}, description: "The task's arguments." },
    queue: text,
    id: { ...text, maxLength: 200, description: "A name of your own: the same id twice is one job." },
    delay: milliseconds,
    priority: { type: "integer", minimum: 1, maximum: 2_097_151 },
    attempts: { type: "integer", minimum: 1, maximum: 1_000 },
    timeout: milliseconds,
    deadline: milliseconds,
  },
};

export const idParams: Schema = { type: "object", properties: { id: text }, required: ["id"] };
export const nameParams: Schema = { type: "object", properties: { name: text }, required: ["name"] };

export const queueQuery: Schema = {
  type: "object",
  additionalProperties: false,
  properties: { queue: text },
};

export const waitQuery: Schema = {
  type: "object",
  additionalProperties: false,
  properties: {
    queue: text,
    wait: { type: "number", minimum: 0, maximum: 300, description: "Seconds to wait for the end." },
  },
};

export const searchQuery: Schema = {
  type: "object",
  additionalProperties: false,
  properties: {
    queue: text,
    state: jobState,
    text: { type: "string", maxLength: 256, description: "In the id, the task's name or the arguments." },
    limit: { type: "integer", minimum: 1, maximum: 1_000, default: 50 },
    cursor,
  },
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
