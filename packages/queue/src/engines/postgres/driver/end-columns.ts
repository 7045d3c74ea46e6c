import type { RunEnd } from "../../../contract/lane-driver.ts";

/** The terms of retention of an end, as BullMQ's functions take them; null keeps every job. */
interface Terms {
  /** Seconds. */
  readonly age: number | null;
  readonly count: number | null;
}

function termsOf({ keep }: RunEnd): Terms {
  if (keep === true) throw new TypeError("An end that removes its job is not a part of a turn's statement");
  return { age: "age" in keep ? keep.age : null, count: keep.count ?? null };
}

/** Returns ends as the parameters of `taskloom_turn_v1`: one array for each column. */
export function endColumns(ends: readonly RunEnd[]): unknown[] {
  const terms = ends.map(termsOf);
  return [
    ends.map(({ id }) => id),
    ends.map(({ token }) => token),
    ends.map(({ outcome }) => outcome === "failed"),
    ends.map(({ outcome, text }) => (outcome === "failed" ? null : text)),
    ends.map(({ outcome, text }) => (outcome === "failed" ? text : null)),
    ends.map(({ stacktrace }) => stacktrace ?? null),
    ends.map(({ finishedOn }) => finishedOn),
    terms.map(({ age }) => age),
    terms.map(({ count }) => count),
    groupsOf(ends, terms),
  ];
}

/** Returns the deliveries of ends as the parameters of `taskloom_run_end_v1`: one array for each column. */
export function deliveryColumns(ends: readonly RunEnd[]): unknown[] {
  const deliveries = ends.flatMap(({ delivery }, at) =>
    delivery === undefined ? [] : [{ at, ...delivery }],
  );
  return [
    deliveries.map(({ at }) => at + 1),
    deliveries.map(({ lane }) => lane),
    deliveries.map(({ id }) => id),
    deliveries.map(({ key }) => key),
    deliveries.map(({ item }) => item),
  ];
}

/**
 * Returns the number of each end's group. In a group, the ends of one outcome have the same terms of retention, and their
 * times do not decrease. The retention of a group can therefore be applied once.
 */
function groupsOf(ends: readonly RunEnd[], terms: readonly Terms[]): number[] {
  let group = 0;
  let last: { [Outcome in RunEnd["outcome"]]?: number } = {};
  return ends.map(({ outcome, finishedOn }, index) => {
    const before = last[outcome];
    if (
      before !== undefined &&
      (ends[before]!.finishedOn > finishedOn ||
        terms[before]!.age !== terms[index]!.age ||
        terms[before]!.count !== terms[index]!.count)
    ) {
      group++;
      last = {};
    }
    last[outcome] = index;
    return group;
  });
}
