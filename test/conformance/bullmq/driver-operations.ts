import type { Redis } from "ioredis";
import { RedisDriver, driverScripts } from "../../../packages/queue/src/engines/redis/driver/redis-driver.ts";
import { unrepeating } from "../../../packages/queue/src/engines/redis/redis-client.ts";
import { UnrepeatedConnection } from "../../../packages/queue/src/engines/redis/unrepeated-connection.ts";
import type { LaneOfBull } from "./bull-operations.ts";
import type { Settings } from "./operation.ts";

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
