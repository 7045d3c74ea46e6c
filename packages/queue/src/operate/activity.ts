import type { Engine } from "../contract/engine.ts";
import { HISTORY_LENGTHS, bucketOf } from "../contract/history.ts";
import type { Figures } from "../contract/history.ts";
import { TaskOptionsError } from "../errors.ts";

/** The upper bounds of the bins of a duration, in milliseconds; the last bin has no bound. */
const BOUNDS: readonly number[] = [0, 1, 2, 3, 4, 5, 6].flatMap((power) =>
  [1, 2, 5].map((n) => n * 10 ** power),
);

/** Returns the bin of a duration in milliseconds. */
export function binOf(duration: number): number {
  let bin = 0;
  while (bin < BOUNDS.length && duration > BOUNDS[bin]!) bin++;
  return bin;
}

/** The percentiles of a duration in milliseconds. They lie between the bounds of a bin, 1, 2, 5, 10 and so on. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
}

/** The activity of queues in one span of time. */
export interface ActivityPoint {
  /** The start of the span, in milliseconds of the epoch. */
  readonly time: number;
  /** The numbers of jobs that ended, and of failed attempts after which the job is retried. */
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly retrying: number;
  /** The greatest numbers of jobs in these states that were counted in the span. */
  readonly waiting: number;
  readonly delayed: number;
  readonly active: number;
  /** The wait of jobs until their first start; undefined if none started. */
  readonly wait?: Percentiles;
  /** The time that attempts ran; undefined if none ended. */
  readonly run?: Percentiles;
}

/** The activity of queues over time. */
export interface Activity {
  /** The length of each span, in milliseconds. */
  readonly length: number;
  readonly from: number;
  readonly to: number;
  /** The spans in which something happened, the oldest first. */
  readonly points: readonly ActivityPoint[];
}

/** The query of {@link readActivity}. */
export interface ActivityQuery {
  /** The last so many milliseconds, at most 14 days. */
  readonly last: number;
  /** Only spans that begin at this time or later, in milliseconds of the epoch: those of an earlier answer. */
  readonly from?: number;
}

/**
 * Reads the activity of queues, in spans of the shortest length that is kept for so long. The figures of several queues are
 * added; the peaks of several queues may belong to different moments.
 *
 * @throws {@link TaskOptionsError} for a time that is longer than any history.
 */
export async function readActivity(
  engine: Engine,
  queues: readonly string[] | undefined,
  { last, from = -Infinity }: ActivityQuery,
): Promise<Activity> {
  const found = HISTORY_LENGTHS.find(({ keep }) => last <= keep);
  if (found === undefined) {
    throw new TaskOptionsError(
      `Expected \`last\` to be at most ${HISTORY_LENGTHS.at(-1)!.keep} ms, got ${last}: the history goes back no further`,
    );
  }
  await engine.connect();
  const { length } = found;
  const to = bucketOf(engine.now(), length);
  const first = Math.max(bucketOf(to - last, length) + length, bucketOf(Math.max(0, from), length));
  const points = new Map<number, Record<string, number>>();
  for (const { start, queue, figures } of await engine.readHistory({ length, from: first, to })) {
    if (queues !== undefined && !queues.includes(queue)) continue;
    const sums = points.get(start) ?? {};
    for (const [name, value] of Object.entries(figures)) sums[name] = (sums[name] ?? 0) + value;
    points.set(start, sums);
  }
  return { length, from: first, to, points: [...points].map(([time, figures]) => pointOf(time, figures)) };
}

function pointOf(time: number, figures: Figures): ActivityPoint {
  const of = (name: string): number => figures[name] ?? 0;
  const wait = percentilesOf("w", figures);
  const run = percentilesOf("r", figures);
  return {
    time,
    completed: of("completed"),
    failed: of("failed"),
    cancelled: of("cancelled"),
    retrying: of("retrying"),
    waiting: of("waiting"),
    delayed: of("delayed"),
    active: of("active"),
    ...(wait === undefined ? {} : { wait }),
    ...(run === undefined ? {} : { run }),
  };
}

function percentilesOf(letter: "w" | "r", figures: Figures): Percentiles | undefined {
  const counts = Array.from({ length: BOUNDS.length + 1 }, (_, bin) => figures[`${letter}${bin}`] ?? 0);
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  const at = (share: number): number => {
    let left = share * total;
    for (const [bin, count] of counts.entries()) {
      if (count > 0 && left <= count) {
        const low = BOUNDS[bin - 1] ?? 0;
        const high = BOUNDS[bin] ?? 2 * low;
        return Math.round(low + ((high - low) * left) / count);
      }
      left -= count;
    }
    return BOUNDS.at(-1)!;
  };
  return { p50: at(0.5), p95: at(0.95) };
}
