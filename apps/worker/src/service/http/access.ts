import type { FastifyRequest } from "fastify";
import { ServiceError } from "../../errors/service-error.ts";

/** The permission of a client: `operate` permits everything, `read` only reading. */
export type Access = "operate" | "read";

const accesses = new WeakMap<FastifyRequest["raw"], Access>();

/** Records the permission of a request, for {@link accessOf}. */
export function setAccess({ raw }: FastifyRequest, access: Access): void {
  accesses.set(raw, access);
}

/** Returns the permission of a request that was let in. */
export function accessOf({ raw }: FastifyRequest): Access {
  return accesses.get(raw) ?? "read";
}

/** Returns whether a request changes nothing. */
export function isRead({ method }: FastifyRequest): boolean {
  return method === "GET" || method === "HEAD";
}

/** Returns the refusal of a change by a client that may only read. */
export function readOnly(remedy: string): ServiceError {
  return new ServiceError(403, "READ_ONLY", remedy);
}
