import type { LaneQueue, StoredSchedule } from "../contract/lane-queue.ts";

/** So many are read at once: each has the arguments of its task. */
const atOnce = 50;
/** A schedule that runs while the walk goes on moves behind others, which move forward by one; these are read again. */
const overlap = 10;

/** The schedules of a lane, the next to run first, each once. */
export async function* readSchedules(
  lane: Pick<LaneQueue, "getJobSchedulers">,
): AsyncGenerator<readonly StoredSchedule[], void, undefined> {
  const seen = new Set<string>();
  for (let from = 0; ; from += atOnce - overlap) {
    const read = await lane.getJobSchedulers(from, from + atOnce - 1, true);
    const found = read.filter(({ key }) => !seen.has(key));
    for (const { key } of found) seen.add(key);
    if (found.length > 0) yield found;
    // Those that are removed meanwhile leave holes in what was read, and the end of the list brings nothing new.
    if (read.length <= overlap) return;
  }
}
