import { TaskArgumentsError, TaskloomQueueError } from "@taskloom/queue";
import { WireError, isEngineFull, withoutPasswords } from "@taskloom/queue/operating";
import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { ServiceError } from "../../errors/service-error.ts";

/** Answers every error as `{ code, message }` with its status; unforeseen ones are logged, and not shown. */
export function answerErrors(app: FastifyInstance, logger: Logger): void {
  app.setErrorHandler((error: FastifyError, request, reply) => answerError(error, request, reply, logger));
  app.setNotFoundHandler((request, reply) =>
    reply.status(404).send({
      code: "NOT_FOUND",
      message: `there is no ${request.method} ${request.url.split("?", 1)[0]}; /openapi.json has what there is.`,
    }),
  );
}

/** Answers one error. */
export function answerError(
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
  logger: Logger,
): FastifyReply {
  const { status, code, message } = answerTo(error);
  if (status === 503) void reply.header("retry-after", 1);
  // Refusals under load are the service's own, and no news.
  if (status >= 500 && !(error instanceof ServiceError && status === 503)) {
    logger.error({
      event: "http",
      method: request.method,
      path: request.url.split("?", 1)[0],
      code,
      error: error.stack,
    });
  }
  return reply.status(status).send({ code, message: withoutPasswords(message) });
}

/**
 * Answers what is no HTTP request, or did not arrive in time, on the connection itself: Fastify never saw a request.
 */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || socket.destroyed) return;
  const [status, code, message] = clientErrors[error.code ?? ""] ?? [400, "HTTP", "this is no HTTP request."];
  const body = JSON.stringify({ code, message });
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    );
  }
  socket.destroySoon();
}

const clientErrors: Readonly<Record<string, readonly [number, string, string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [
    408,
    "REQUEST_TIMEOUT",
    "the request did not arrive within --request-timeout; send it again, faster.",
  ],
  HPE_HEADER_OVERFLOW: [431, "HEADERS_TOO_LARGE", "the headers are larger than 16 KiB; send fewer."],
};

const shownAtMost = 500;

function shortened(message: string): string {
  if (message.length <= shownAtMost) return message;
  return `${message.slice(0, shownAtMost / 2)}…${message.slice(-shownAtMost / 2)}`;
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
  // Too deep or too large to be sent. Of a deep value, the path alone takes thousands of characters.
  if (error instanceof WireError && error.code !== "MALFORMED")
    return { status: 422, code: error.code, message: shortened(message) };
  if (isEngineFull(error)) {
    return {
      status: 507,
      code: "ENGINE_FULL",
      message: "the engine has no room left, so the job was not stored; make room, and send it again.",
    };
  }
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
  if (error.code === "FST_ERR_BAD_URL") {
    return { status: 400, code: "URL", message: "the URL has a % that no two hexadecimal digits follow." };
  }
  if (error.code === "FST_ERR_MAX_PARAM_LENGTH") {
    return { status: 414, code: "URL_TOO_LONG", message: "a part of the URL's path is too long." };
  }
  if (error.code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") {
    return { status: 415, code: "MEDIA_TYPE", message: "send the body as application/json." };
  }
  const status = error.statusCode ?? 500;
  if (status >= 500) {
    return { status: 500, code: "INTERNAL", message: "the service failed at this; its log has the reason." };
  }
  return { status, code: error.code ?? "REQUEST", message };
}
