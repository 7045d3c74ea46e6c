import type { FastifyInstance } from "fastify";

/** Forbids other hosts, and other sites to frame the page. bull-board sets styles in its elements. */
const CONTENT_POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'self'; frame-ancestors 'none'; form-action 'self'";

/** Adds the headers that keep the page apart from other sites. */
export function addSafeHeaders(app: FastifyInstance): void {
  app.addHook("onSend", async (_request, reply) => {
    void reply.header("content-security-policy", CONTENT_POLICY);
    void reply.header("x-content-type-options", "nosniff");
    void reply.header("referrer-policy", "no-referrer");
  });
}
