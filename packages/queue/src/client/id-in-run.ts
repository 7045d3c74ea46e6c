import { createHash } from "node:crypto";

/** The longest id that a submission may have. */
const MAX_ID = 200;

/** The place of a submission within a durable run, from which its id follows. */
export interface PlaceInRun {
  /** The id of the run's job. */
  readonly run: string;
  /** The number of the command. */
  readonly n: number;
}

/**
 * Returns the id of a step, job or child of a run: the same one each time the run is replayed. The id of a run that a
 * schedule has made has colons, which no other id may have, and children of children have long ids.
 *
 * @example
 * ```ts
 * import { idInRun } from "@taskloom/queue/lane";
 *
 * console.log(idInRun({ run: "workflow.order-7", n: 3 })); // workflow.order-7/3
 * ```
 */
export function idInRun({ run, n }: PlaceInRun): string {
  const id = `${run.replaceAll(":", "~")}/${n}`;
  return id.length <= MAX_ID ? id : `${createHash("sha256").update(run).digest("hex")}/${n}`;
}
