import { TaskArgumentsError, TaskloomQueueError } from "@taskloom/queue";
import { isEngineFull, withoutPasswords } from "@taskloom/queue/operating";
import type { FastifyError, FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { ServiceError } from "../service-error.ts";

/** Every error as `{ code, message }` with its status; what nobody foresaw is logged, and not shown. */
export function answerErrors(app: FastifyInstance, logger: Logger): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const { status, code, message } = answerTo(error);
    if (status >= 500) {
      logger.error({
        event: "http",
        method: request.method,
        path: request.url.split("?", 1)[0],
        code,
        error: error.stack,
      });
    }
    return reply.status(status).send({ code, message: withoutPasswords(message) });
  });
  app.setNotFoundHandler((request, reply) =>
    reply.status(404).send({
      code: "NOT_FOUND",
      message: `there is no ${request.method} ${request.url.split("?", 1)[0]}; /openapi.json has what there is.`,
    }),
  );
}

/** The status, code and message that an error is answered with. */
export function answerTo(error: FastifyError): {
  readonly status: number;
  readonly code: string;
  readonly message: string;
} {
  const { message } = error;
  if (error instanceof ServiceError) return { status: error.status, code: error.code, message };
  if (error instanceof TaskArgumentsError) return { status: 422, code: error.code, message };
  if (error instanceof TaskloomQueueError) {
    const status = error.code === "ENGINE_UNAVAILABLE" ? 503 : error.code === "QUEUE_CLOSED" ? 503 : 400;
    return { status, code: error.code, message };
  }
  if (error.validation !== undefined) return { status: 400, code: "REQUEST", message: `${message}.` };
  if (error.code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    return {
      status: 413,
      code: "BODY_TOO_LARGE",
      message: "the body is larger than --body-limit allows; send a reference instead.",
    };
  }
  if (error.code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") {
    return { status: 415, code: "MEDIA_TYPE", message: "send the body as application/json." };
  }
  if (isEngineFull(error)) {
    return {
      status: 507,
      code: "ENGINE_FULL",
      message: "the engine has no room left, so the job was not stored; make room, and send it again.",
    };
  }
  const status = error.statusCode ?? 500;
  if (status >= 500) {
    return { status: 500, code: "INTERNAL", message: "the service failed at this; its log has the reason." };
  }
  return { status, code: error.code ?? "REQUEST", message };
}
