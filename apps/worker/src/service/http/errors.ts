import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { TaskArgumentsError, TaskloomQueueError } from "@taskloom/queue";
import { WireError, isEngineFull, withoutPasswords } from "@taskloom/queue/operating";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { ServiceError } from "../../errors/service-error.ts";

/** The part of a log that answers need; the `error` of a line is a stack. */
export interface ErrorLog {
  error(line: Readonly<Record<string, unknown>>): void;
}

/** Answers every error with its status and `{ code, message }`. Unexpected errors are logged and not shown. */
export function answerErrors(app: FastifyInstance, logger: ErrorLog): void {
  app.setErrorHandler((error: FastifyError, request, reply) => answerError(error, request, reply, logger));
  app.setNotFoundHandler((request, reply) =>
    reply.status(404).send({
      code: "NOT_FOUND",
      message: `There is no ${request.method} ${request.url.split("?", 1)[0]}; /openapi.json lists the routes`,
    }),
  );
}

/** Answers one error. */
export function answerError(
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
  logger: ErrorLog,
): FastifyReply {
  const { status, code, message } = answerTo(error);
  if (status === 503) void reply.header("retry-after", 1);
  // The refusals of a busy service are not logged.
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
 * Answers a request that is malformed or did not arrive in time. Fastify has no request for it, so the answer is written
 * to the connection.
 */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || socket.destroyed) return;
  const [status, code, message] = CLIENT_ERRORS[error.code ?? ""] ?? [
    400,
    "HTTP",
    "This is not an HTTP request; send one",
  ];
  const body = JSON.stringify({ code, message });
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    );
  }
  socket.destroySoon();
}

const CLIENT_ERRORS: Readonly<Record<string, readonly [number, string, string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [
    408,
    "REQUEST_TIMEOUT",
    "The request did not arrive within --request-timeout; send it again, faster",
  ],
  HPE_HEADER_OVERFLOW: [431, "HEADERS_TOO_LARGE", "The headers are larger than 16 KiB; send fewer"],
};

const MAX_MESSAGE = 500;

function shortened(message: string): string {
  if (message.length <= MAX_MESSAGE) return message;
  return `${message.slice(0, MAX_MESSAGE / 2)}…${message.slice(-MAX_MESSAGE / 2)}`;
}

const capitalized = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

/** Returns the status, the code and the message of the answer to an error. */
export function answerTo(error: FastifyError): {
  readonly status: number;
  readonly code: string;
  readonly message: string;
} {
  const { message } = error;
  if (error instanceof ServiceError) return { status: error.status, code: error.code, message };
  if (error instanceof TaskArgumentsError) return { status: 422, code: error.code, message };
  // The value is too deep or too large to be sent. The path of a deep value has thousands of characters.
  if (error instanceof WireError && error.code !== "MALFORMED")
    return { status: 422, code: error.code, message: shortened(message) };
  if (isEngineFull(error)) {
    return {
      status: 507,
      code: "ENGINE_FULL",
      message: "The engine has no room left, so the job was not stored; make room, and send it again",
    };
  }
  if (error instanceof TaskloomQueueError) {
    const isAway = ["ENGINE_UNAVAILABLE", "QUEUE_CLOSED", "SHARD_DOWN"].includes(error.code);
    return { status: isAway ? 503 : 400, code: error.code, message };
  }
  if (error.validation !== undefined) return { status: 400, code: "REQUEST", message: capitalized(message) };
  if (error.code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    return {
      status: 413,
      code: "BODY_TOO_LARGE",
      message: "The body is larger than --body-limit; send a reference instead",
    };
  }
  if (error.code === "FST_ERR_BAD_URL") {
    return {
      status: 400,
      code: "URL",
      message: "The URL has a % without two hexadecimal digits after it; encode it as %25",
    };
  }
  if (error.code === "FST_ERR_MAX_PARAM_LENGTH") {
    return { status: 414, code: "URL_TOO_LONG", message: "A part of the URL's path is too long; shorten it" };
  }
  if (error.code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") {
    return { status: 415, code: "MEDIA_TYPE", message: "Send the body as application/json" };
  }
  const status = error.statusCode ?? 500;
  if (status >= 500) {
    return { status: 500, code: "INTERNAL", message: "The service failed; its log has the reason" };
  }
  return { status, code: error.code ?? "REQUEST", message };
}
