import type { Redis } from "ioredis";
import type { NewJob } from "../../../packages/queue/src/contract/lane-queue.ts";
import { RedisDriver, driverScripts } from "../../../packages/queue/src/engines/redis/driver/redis-driver.ts";
import { unrepeating } from "../../../packages/queue/src/engines/redis/redis-client.ts";
import { UnrepeatedConnection } from "../../../packages/queue/src/engines/redis/unrepeated-connection.ts";
import { LOCK_MS, optionsOf } from "./bull-operations.ts";
import type { LaneOfBull } from "./bull-operations.ts";
import { errorOf } from "./errors-of.ts";
import type { AddedJob, Operation, Settings } from "./operation.ts";
import type { Answer } from "./side.ts";

/** The texts of the driver's scripts. */
export type DriverScripts = ReturnType<typeof driverScripts>;

/** Opens the driver of a lane; `close` closes its connection. */
export function openDriver(
  client: Redis,
  { queue }: LaneOfBull,
  settings: Settings,
  now: () => number,
  scripts: DriverScripts = driverScripts(),
): { readonly driver: RedisDriver; readonly close: () => void } {
  const connection = new UnrepeatedConnection(
    () => unrepeating(client),
    () => scripts,
    3,
  );
  const { limiter, metrics } = settings;
  const driver = new RedisDriver(queue, { connection, limiter, maxMetricsSize: metrics, now });
  return { driver, close: () => connection.close() };
}

export async function driverAdd(
  driver: RedisDriver,
  { prefix }: LaneOfBull,
  jobs: readonly AddedJob[],
): Promise<Answer> {
  const added = await driver.add(
    jobs.map(
      (job) => ({ name: job.name, data: job.data, opts: optionsOf(job, prefix) }) as unknown as NewJob,
    ),
  );
  const results = added.map((id) => (id instanceof Error ? errorOf(id) : id));
  return { results, claimed: [], isLimited: false, nextDue: 0 };
}

export async function driverTurn(
  driver: RedisDriver,
  { ends, claim }: Extract<Operation, { kind: "turn" }>,
  now: number,
): Promise<Answer> {
  const { refusals, jobs, limitedFor, nextDue } = await driver.turn(
    ends.map(({ ago, attempts, ...end }) => ({ ...end, finishedOn: now - ago, opts: { attempts } })),
    claim === undefined ? undefined : { ...claim, lockDuration: LOCK_MS },
  );
  return {
    results: refusals.map((error) => (error === undefined ? null : errorOf(error))),
    claimed: jobs,
    isLimited: limitedFor > 0,
    nextDue,
  };
}
