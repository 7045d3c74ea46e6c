import type { LaneQueue } from "../contract/lane-queue.ts";
import { laneOfJobId, storedId } from "../contract/lane.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** The number of lines that are read at once. A line has at most 64 Ki characters. */
const LINES_AT_ONCE = 100;
/** A page ends with the read that reaches this number of lines or characters. */
const PAGE_LINES = 1_000;
const PAGE_CHARACTERS = 1_048_576;

/** Yields the lines that a job has logged, from the line with the index `from` on. */
export async function* readLogs(
  lane: LaneQueue,
  stored: string,
  from = 0,
): AsyncGenerator<readonly string[], void, undefined> {
  for (let at = from; ;) {
    const { logs } = await lane.getJobLogs(stored, at, at + LINES_AT_ONCE - 1);
    if (logs.length > 0) yield logs;
    if (logs.length < LINES_AT_ONCE) return;
    at += logs.length;
  }
}

/**
 * Reads the next page of a job's log: about 1 MiB or 1,000 lines at most, and no lines at the end. A caller passes the
 * number of lines that it has as `from`.
 */
export async function logPage(lane: LaneQueue, stored: string, from: number): Promise<string[]> {
  const lines: string[] = [];
  let characters = 0;
  for await (const next of readLogs(lane, stored, from)) {
    lines.push(...next);
    characters += next.reduce((sum, line) => sum + line.length, 0);
    if (lines.length >= PAGE_LINES || characters >= PAGE_CHARACTERS) break;
  }
  return lines;
}

/** Reads all lines of a job's log. */
export async function wholeLog(queues: LaneQueues, id: string): Promise<string[]> {
  await queues.engine.connect();
  const lines: string[] = [];
  for await (const read of readLogs(queues.lane(laneOfJobId(id) ?? "loop"), storedId(id)))
    lines.push(...read);
  return lines;
}
