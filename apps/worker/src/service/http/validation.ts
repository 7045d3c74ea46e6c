import { Ajv } from "ajv";
import type { Options } from "ajv";
import type { FastifyInstance } from "fastify";

const COMMON: Options = { useDefaults: true, removeAdditional: false, strict: false };

/**
 * Validates requests by their schemas. The parts of a URL are text, which is converted to the type of the schema. A body
 * is JSON and is not converted, so `0`, `false` and `""` differ from a missing body.
 *
 * Answers are not validated: their schemas are for the OpenAPI document, and a test compares the answers with them.
 */
export function validateRequests(app: FastifyInstance): void {
  const bodies = new Ajv(COMMON);
  const texts = new Ajv({ ...COMMON, coerceTypes: true });
  app.setValidatorCompiler<object>(({ schema, httpPart }) =>
    (httpPart === "body" ? bodies : texts).compile(schema),
  );
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
}
