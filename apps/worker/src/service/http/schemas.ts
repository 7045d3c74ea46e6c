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
    error: {
      type: "object",
      additionalProperties: true,
      properties: {
        name: { type: "string" },
        message: { type: "string" },
        code: { type: "string" },
        stack: { type: "string" },
      },
    },
    reason: { type: "string" },
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
