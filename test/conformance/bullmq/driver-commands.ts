import type { LaneDriver } from "../../../packages/queue/src/contract/lane-driver.ts";
import type { NewJob } from "../../../packages/queue/src/contract/lane-queue.ts";
import { answerWith, applyByBullMQ } from "./bull-commands.ts";
import type { BullLane } from "./bull-commands.ts";
import { LOCK_MS } from "./bull-operations.ts";
import { errorOf } from "./errors-of.ts";
import type { AddedJob, End, Operation } from "./operation.ts";
import type { Answer, Side } from "./side.ts";

/** The forms in which an engine takes jobs and ends. */
export interface DriverForms {
  readonly optionsOf: (job: AddedJob) => object;
  readonly textOf: (end: End) => string;
}

/** Executes an operation: additions and turns by a driver, and all others by BullMQ's own commands. */
export async function applyByDriver(
  driver: LaneDriver,
  lane: BullLane,
  forms: DriverForms,
  operation: Operation,
  now: number,
): Promise<Answer> {
  if (operation.kind === "turn") return await turn(driver, lane, forms, operation, now);
  if (operation.kind !== "add") return await applyByBullMQ(lane, operation, now);
  const jobs = operation.jobs.map(
    (job) => ({ name: job.name, data: job.data, opts: forms.optionsOf(job) }) as unknown as NewJob,
  );
  const added = await driver.add(jobs);
  return answerWith(added.map((id) => (id instanceof Error ? errorOf(id) : id)));
}

async function turn(
  driver: LaneDriver,
  { comparable }: BullLane,
  { textOf }: DriverForms,
  { ends, claim }: Extract<Operation, { kind: "turn" }>,
  now: number,
): Promise<Answer> {
  const { refusals, jobs, limitedFor, nextDue } = await driver.turn(
    ends.map((end) => {
      const { ago, attempts, ...rest } = end;
      return { ...rest, text: textOf(end), finishedOn: now - ago, opts: { attempts } };
    }),
    claim === undefined ? undefined : { ...claim, lockDuration: LOCK_MS },
  );
  return {
    results: refusals.map((error) => (error === undefined ? null : errorOf(error))),
    claimed: jobs.map(({ id, record }) => ({ id, record: comparable(record) })),
    isLimited: limitedFor > 0,
    nextDue,
  };
}

/** Returns a function that answers an operation that is refused with its error. */
export function refusing(apply: Side["apply"]): Side["apply"] {
  return async (operation) => {
    try {
      return await apply(operation);
    } catch (error) {
      return answerWith([errorOf(error)]);
    }
  };
}
