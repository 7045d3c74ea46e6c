import type { Schema } from "./schemas.ts";

const error: Schema = {
  type: "object",
  properties: {
    code: { type: "string", description: "A stable code for programs." },
    message: { type: "string", description: "The reason and the next step, for people." },
  },
  required: ["code", "message"],
};

/** The descriptions of failures, by status. */
const FAILURES = {
  400: "The request is malformed, or has an invalid value.",
  401: "The token is missing or unknown.",
  403: "The token permits only reading, or a page of another site caused the request.",
  404: "The job, task, queue, worker or schedule does not exist.",
  408: "The request did not arrive in time.",
  409: "The state of the job does not allow the request.",
  413: "The body is too large.",
  414: "A part of the URL's path is too long.",
  415: "The body is not JSON.",
  422: "The arguments do not fit the task, or cannot be sent.",
  429: "Too many requests, or too many bad tokens.",
  431: "The headers are too large.",
  500: "The service failed; its log has the reason.",
  503: "The engine does not answer, or the service is busy.",
  507: "The engine has no room left.",
} as const;

const ALWAYS = [400, 401, 403, 408, 429, 431, 500, 503] as const;

/** Returns the answers of a route: its own, the failures of every route, and the named failures. */
export function answers(
  own: Readonly<Record<number, Schema>>,
  ...others: readonly (keyof typeof FAILURES)[]
): Record<number, Schema> {
  const all: Record<number, Schema> = {};
  for (const status of [...ALWAYS, ...others]) all[status] = { ...error, description: FAILURES[status] };
  return { ...all, ...own };
}

/** The answer of a route without a body. */
export const nothing: Schema = { type: "null", description: "Done." };
