import type { Schema } from "./schemas.ts";

const error: Schema = {
  type: "object",
  properties: {
    code: { type: "string", description: "Stable, for programs." },
    message: { type: "string", description: "For people: what is wrong and what to do." },
  },
  required: ["code", "message"],
};

/** Statuses of failures, and what each says. */
const failures = {
  400: "The request is malformed, or names something that cannot be.",
  401: "A token is needed, or this one is not known.",
  403: "The token may only look, or another site's page caused the request.",
  404: "There is no such job, task, queue, worker or schedule.",
  408: "The request did not arrive in time.",
  409: "The job's state does not allow it.",
  413: "The body is too large.",
  414: "A part of the URL's path is too long.",
  415: "The body is not JSON.",
  422: "The arguments are not what the task asks for, or cannot be sent.",
  429: "Too many requests, or too many bad tokens.",
  431: "The headers are too large.",
  500: "The service failed; its log has the reason.",
  503: "The engine does not answer, or the service has too much to do.",
  507: "The engine has no room left.",
} as const;

const always = [400, 401, 403, 408, 429, 431, 500, 503] as const;

/** The answers of a route: its own, the failures that each route can have, and those that are named. */
export function answers(
  own: Readonly<Record<number, Schema>>,
  ...others: readonly (keyof typeof failures)[]
): Record<number, Schema> {
  const failed = [...always, ...others].map((status) => [
    status,
    { ...error, description: failures[status] },
  ]);
  return { ...(Object.fromEntries(failed) as Record<number, Schema>), ...own };
}

/** The answer of a route that has nothing to say. */
export const nothing: Schema = { type: "null", description: "Done." };
