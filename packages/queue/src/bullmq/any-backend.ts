import type { BackendFactory, ConnectionOptions, IQueueBackend, RedisQueueBackend } from "bullmq";

/**
 * The type by which BullMQ's classes accept every backend. BullMQ's classes name the type of their backend; with one type
 * for all of them, the users of a Queue need not know its engine.
 */
export type AnyBackend = BackendFactory<RedisQueueBackend, ConnectionOptions>;

export function anyBackend<Backend extends IQueueBackend, Connection>(
  factory: BackendFactory<Backend, Connection>,
): AnyBackend {
  return factory as unknown as AnyBackend;
}
