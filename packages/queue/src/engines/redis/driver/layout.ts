import { changedScripts } from "./bullmq-texts.ts";

/** The part of BullMQ's backend that {@link knowsLayout} reads. */
interface MetaReader {
  getQueueMetaField(field: string): Promise<string | null>;
}

/** BullMQ writes the name and the version of its library. BullMQ Pro has another name, and keys that the driver lacks. */
const KNOWN = /^bullmq:6\.\d+\.\d+/;

/**
 * Returns whether the driver's scripts know how a queue's data is stored, by the version in the queue's `meta` key.
 * Taskloom's own queues have no version, because their layout is that of the installed BullMQ: its scripts must be those
 * that the driver's scripts mirror.
 *
 * @example
 * await knowsLayout("bullmq:6.7.0"); // true
 * await knowsLayout("bullmq:7.0.0"); // false
 */
export async function knowsLayout(from: MetaReader | string | null): Promise<boolean> {
  const version = typeof from === "string" || from === null ? from : await from.getQueueMetaField("version");
  return (version === null || KNOWN.test(version)) && changedScripts().length === 0;
}
