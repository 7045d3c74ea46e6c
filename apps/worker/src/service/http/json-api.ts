import type { FastifyInstance } from "fastify";
import { answerErrors } from "./errors.ts";
import type { ErrorLog } from "./errors.ts";
import { validateRequests } from "./validation.ts";

/** Makes an app take JSON alone, check its requests, and answer each error in the format of the API. */
export function makeJsonApi(app: FastifyInstance, log: ErrorLog): void {
  // A form on another site can send plain text without a preflight request, so only JSON is accepted.
  app.removeContentTypeParser("text/plain");
  validateRequests(app);
  answerErrors(app, log);
}
