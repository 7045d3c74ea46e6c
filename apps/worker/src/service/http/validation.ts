import { Ajv } from "ajv";
import type { Options } from "ajv";
import type { FastifyInstance } from "fastify";

const common: Options = { useDefaults: true, removeAdditional: false, strict: false };

/**
 * Holds requests to their schemas. What is in a URL is text, and is read as what the schema asks for; a body says itself
 * what it is, so that `0`, `false` and `""` are no missing body.
 *
 * Answers are written as they are: their schemas are for the OpenAPI document, and a test holds the answers to them.
 */
export function validateRequests(app: FastifyInstance): void {
  const bodies = new Ajv(common);
  const texts = new Ajv({ ...common, coerceTypes: true });
  app.setValidatorCompiler<object>(({ schema, httpPart }) =>
    (httpPart === "body" ? bodies : texts).compile(schema),
  );
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
}
