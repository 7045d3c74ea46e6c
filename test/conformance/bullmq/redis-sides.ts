import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";
import { bullApply, openLane } from "./bull-operations.ts";
import type { LaneOfBull } from "./bull-operations.ts";
import { driverAdd, driverTurn, openDriver } from "./driver-operations.ts";
import { errorOf } from "./errors-of.ts";
import { redisSnapshot } from "./redis-snapshot.ts";
import type { OpenSides, Side } from "./side.ts";

/** Opens the sides of a Redis: BullMQ's own commands, and the driver with BullMQ's commands for all other operations. */
export function redisSides(url: string): { open: OpenSides; close: () => Promise<void> } {
  const client = new Redis(url, { maxRetriesPerRequest: null });
  const run = randomBytes(6).toString("hex");
  let number = 0;

  const sideOf = (lane: LaneOfBull, apply: Side["apply"], end: () => void): Side => ({
    apply: async (operation) => {
      try {
        return await apply(operation);
      } catch (error) {
        return { results: [errorOf(error, lane.prefix)], claimed: [], isLimited: false, nextDue: 0 };
      }
    },
    snapshot: () => redisSnapshot(client, lane.prefix),
    close: async () => {
      end();
      await lane.close();
      const keys = await client.keys(`${lane.prefix}:*`);
      if (keys.length > 0) await client.del(...keys);
    },
  });

  const open: OpenSides = async (settings, now) => {
    number++;
    const reference = await openLane(client, `conf-${run}-${number}-a`, settings);
    const own = await openLane(client, `conf-${run}-${number}-b`, settings);
    const driver = openDriver(client, own, settings, now);
    return {
      bullmq: sideOf(reference, (operation) => bullApply(reference, operation, now()), () => {}),
      driver: sideOf(
        own,
        async (operation) => {
          if (operation.kind === "add") return await driverAdd(driver, own, operation.jobs);
          if (operation.kind === "turn") return await driverTurn(driver, own, operation, now());
          return await bullApply(own, operation, now());
        },
        () => driver.close(),
      ),
    };
  };
  return { open, close: async () => void (await client.quit()) };
}
