import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";
import { applyByBullMQ } from "./bull-commands.ts";
import { openLane, optionsOf } from "./bull-operations.ts";
import type { LaneOfBull } from "./bull-operations.ts";
import { applyByDriver, refusing } from "./driver-commands.ts";
import type { DriverForms } from "./driver-commands.ts";
import { openDriver } from "./driver-operations.ts";
import type { DriverScripts } from "./driver-operations.ts";
import { redisSnapshot } from "./redis-snapshot.ts";
import type { Settings } from "./operation.ts";
import type { Side, Sides } from "./side.ts";

/**
 * Returns the sides of a Redis: BullMQ's own commands, and the driver with BullMQ's commands for all other operations.
 *
 * @param scripts returns the texts of the driver's scripts for the next sequence; without it, they are the driver's own.
 */
export function redisSides(url: string, scripts?: () => DriverScripts): Sides & { close(): Promise<void> } {
  const client = new Redis(url, { maxRetriesPerRequest: null });
  const prefix = `conformance-${randomBytes(6).toString("hex")}`;

  // Redis trims whole nodes of a stream. If their size is limited in bytes, it depends on the stream's ids, and so on the time.
  const nodeBytes = client.config("GET", "stream-node-max-bytes").catch(() => []);
  const sideOf = (
    lane: LaneOfBull,
    { maxEvents = Infinity }: Settings,
    apply: Side["apply"],
    end: () => void,
  ): Side => ({
    apply: refusing(apply),
    snapshot: async () => {
      const [, bytes] = await nodeBytes;
      return await redisSnapshot(client, prefix, bytes === "0" ? Infinity : maxEvents);
    },
    close: async () => {
      end();
      await lane.close();
      const keys = await client.keys(`${prefix}:*`);
      if (keys.length > 0) await client.del(...keys);
    },
  });

  return {
    bullmq: async (settings, now) => {
      const lane = await openLane(client, prefix, settings);
      return sideOf(
        lane,
        settings,
        (operation) => applyByBullMQ(lane, operation, now()),
        () => {},
      );
    },
    driver: async (settings, now) => {
      const lane = await openLane(client, prefix, settings);
      const { driver, close } = openDriver(client, lane, settings, now, scripts?.());
      const forms: DriverForms = {
        optionsOf: (job) => optionsOf(job, prefix),
        textOf: ({ text }) => text,
      };
      return sideOf(
        lane,
        settings,
        (operation) => applyByDriver(driver, lane, forms, operation, now()),
        close,
      );
    },
    close: async () => void (await client.quit()),
  };
}
