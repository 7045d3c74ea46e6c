import type { NewJob } from "../../../packages/queue/src/contract/lane-queue.ts";
import type { LaneDriver } from "../../../packages/queue/src/contract/lane-driver.ts";
import { LOCK_MS } from "./bull-operations.ts";
import { errorOf } from "./errors-of.ts";
import type { AddedJob, Operation } from "./operation.ts";
import { comparable, optionsOf, textOf } from "./postgres-operations.ts";
import type { PostgresLane } from "./postgres-operations.ts";
import type { Answer } from "./side.ts";

export async function driverAdd(
  driver: LaneDriver,
  { queue }: PostgresLane,
  jobs: readonly AddedJob[],
): Promise<Answer> {
  const added = await driver.add(
    jobs.map(
      (job) => ({ name: job.name, data: job.data, opts: optionsOf(job, queue.name) }) as unknown as NewJob,
    ),
  );
  const results = added.map((id) => (id instanceof Error ? errorOf(id) : id));
  return { results, claimed: [], isLimited: false, nextDue: 0 };
}

export async function driverTurn(
  driver: LaneDriver,
  { ends, claim }: Extract<Operation, { kind: "turn" }>,
  now: number,
): Promise<Answer> {
  const { refusals, jobs, limitedFor, nextDue } = await driver.turn(
    ends.map(({ ago, attempts, ...end }) => ({
      ...end,
      text: textOf(end),
      finishedOn: now - ago,
      opts: { attempts },
    })),
    claim === undefined ? undefined : { ...claim, lockDuration: LOCK_MS },
  );
  return {
    results: refusals.map((error) => (error === undefined ? null : errorOf(error))),
    claimed: jobs.map(({ id, record }) => ({ id, record: comparable(record) })),
    isLimited: limitedFor > 0,
    nextDue,
  };
}
