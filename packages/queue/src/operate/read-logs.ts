import type { LaneQueue } from "../contract/lane-queue.ts";
import { laneOfJobId, storedId } from "../contract/lane.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** So many lines are read at once; a line has 64 Ki characters at most. */
const linesAtOnce = 100;
/** So many lines and characters one page has at most, give or take what was read at once. */
const linesOfPage = 1_000;
const charactersOfPage = 1_048_576;

/** The lines that a job has logged, from the `from`th on, as they are read. */
export async function* readLogs(
  lane: LaneQueue,
  stored: string,
  from = 0,
): AsyncGenerator<readonly string[], void, undefined> {
  for (let at = from; ;) {
    const { logs } = await lane.getJobLogs(stored, at, at + linesAtOnce - 1);
    if (logs.length > 0) yield logs;
    if (logs.length < linesAtOnce) return;
    at += logs.length;
  }
}

/**
 * The next lines of a job's log, about 1 MiB and 1,000 lines at most; none when there are no more. A log of any length
 * is read page by page, each from the number of lines that are known.
 */
export async function logPage(lane: LaneQueue, stored: string, from: number): Promise<string[]> {
  const lines: string[] = [];
  let characters = 0;
  for await (const next of readLogs(lane, stored, from)) {
    lines.push(...next);
    characters += next.reduce((sum, line) => sum + line.length, 0);
    if (lines.length >= linesOfPage || characters >= charactersOfPage) break;
  }
  return lines;
}

/** Returns all lines of a job's log. */
export async function wholeLog(queues: LaneQueues, id: string): Promise<string[]> {
  await queues.engine.connect();
  const lines: string[] = [];
  for await (const read of readLogs(queues.lane(laneOfJobId(id) ?? "loop"), storedId(id)))
    lines.push(...read);
  return lines;
}
