import { setTimeout as delay } from "node:timers/promises";
import { laneQueueName, lanes } from "../../contract/lane.ts";
import type { LaneQueue } from "../../contract/lane-queue.ts";
import type { Engine } from "../../contract/engine.ts";
import { STORED_STATES } from "../../contract/job-record.ts";
import type { StoredState } from "../../contract/job-record.ts";
import { MAX_SHARDS, placeOfId, placeOfKey, shardOfHash } from "../../contract/shard-id.ts";
import type { ShardPlace } from "../../contract/shard-id.ts";
import type { ShardReport, ShardsReport } from "../../contract/shards-report.ts";
import { serverOfUrl } from "../../contract/shard-url.ts";
import { EngineUrlError, ShardDownError, ShardsDifferError, TaskOptionsError } from "../../errors.ts";
import { slotOfTag } from "./cluster-tags.ts";
import { setLimitPart, wholeLimit } from "./shard-limits.ts";
import { LAYOUT_LEASE_MS, allShards } from "./shard-layout.ts";
import type { Shards } from "./shards.ts";
import { moveSchedules } from "./moved-schedules.ts";
import { withLane } from "./with-lane.ts";

/** The part of a sharded engine that a change of its shards needs. */
export interface ShardedQueues extends Pick<Engine, "url" | "connect" | "now" | "queueNames" | "serving"> {
  readonly shards: Shards;
}

const OPEN_STATES: readonly StoredState[] = STORED_STATES.filter(
  (state) => state !== "failed" && state !== "completed",
);
const IDS_AT_ONCE = 1_000;
/** The time after a change by which every client adds hashed ids by the new layout alone. */
const KEYS_AFTER_MS = 1.5 * LAYOUT_LEASE_MS;

/** Sets the number of shards; see {@link ShardAdmin}. */
export async function setShards(engine: ShardedQueues, count: number): Promise<ShardsReport> {
  const { shards } = engine;
  if (!(Number.isSafeInteger(count) && count >= 1 && count <= MAX_SHARDS))
    throw new TaskOptionsError(
      `Expected the number of shards to be a whole number from 1 to ${MAX_SHARDS}, got ${String(count)}`,
    );
  await engine.connect();
  const { layout } = shards;
  if (layout.count === count && shards.isStored) return await readShards(engine);
  await refuseFollowers(engine);
  // Two changes within the lease of one layout would let a client skip one.
  const wait = layout.keysFrom - engine.now();
  if (wait > 0) await delay(wait);
  const places = await placesFor(shards, count);
  await shards.prepare(places);
  await refuseStrangers(shards, layout.count);
  await copySettings(engine, layout.count, count);
  const earlier = [...new Set([layout.count, ...layout.earlier])].filter((each) => each !== count);
  await shards.store({ count, earlier, places, keysFrom: engine.now() + KEYS_AFTER_MS });
  return await readShards(engine);
}

/** Workers that were started with the address of a queue without shards do not read the layout. */
async function refuseFollowers(engine: ShardedQueues): Promise<void> {
  if (engine.shards.isStored) return;
  const workers = await engine.serving();
  if (workers.length > 0)
    throw new ShardsDifferError(
      `${engine.url} has never had shards, and ${workers.length} running workers cannot follow a change; start them again with ?shards=1 in their address, and repeat the command`,
    );
}

async function placesFor(shards: Shards, count: number): Promise<readonly string[]> {
  const { address, layout } = shards;
  if (count <= layout.places.length) return layout.places;
  if (address.isCluster) return await shards.chooseTags(layout.places, count);
  if (address.urls.length < count)
    throw new EngineUrlError(
      `${address.shown} names ${address.urls.length} servers, and ${count} shards need one each; name all of them, those that exist first`,
    );
  return [...layout.places, ...address.urls.slice(layout.places.length, count).map(serverOfUrl)];
}

async function refuseStrangers(shards: Shards, known: number): Promise<void> {
  if (shards.address.isCluster) return;
  for (let shard = known; shard < shards.all.length; shard++) {
    const text = await shards.engine(shard).shardRecord().read();
    if (text === null || shards.layout.earlier.some((count) => shard < count)) continue;
    throw new ShardsDifferError(
      `${shards.layout.places[shard]} has shards of another queue; name an empty server or another database of it`,
    );
  }
}

/** Pauses the queues on the new shards that are paused, and divides the rate limits anew. */
async function copySettings({ shards }: ShardedQueues, before: number, count: number): Promise<void> {
  const queues = await shards.engine(0).queueNames();
  for (const queue of queues) {
    for (const name of lanes.map((lane) => laneQueueName(queue, lane))) {
      const opened = shards.all.map((engine) => engine.openLane(name));
      try {
        if (await opened[0]!.isPaused()) for (const lane of opened.slice(before)) await lane.pause();
        const text = await shards.engine(0).shardRecord().limit(name);
        const limit = await wholeLimit(text, () => opened[0]!.getGlobalRateLimit());
        if (limit === null) continue;
        for (const [shard, lane] of opened.entries())
          await setLimitPart(limit, { shards, laneName: name, lane, shard, count });
      } finally {
        await Promise.all(opened.map((lane) => lane.close()));
      }
    }
    for (const engine of shards.all.slice(before)) await engine.recordQueue(queue);
  }
}

/**
 * Reads the shards, moves schedules to their shard of the present layout, and ends a change of which no job is left. A walk
 * through the ids of all jobs costs a round trip for 1,000 of them, and is made only while a change is under way.
 */
export async function readShards(engine: ShardedQueues): Promise<ShardsReport> {
  await engine.connect();
  const { shards } = engine;
  await shards.refresh();
  const { layout } = shards;
  const isChanging = layout.earlier.length > 0;
  const isDecided = engine.now() >= layout.keysFrom;
  const queues = await engine.queueNames();
  // A move waits for both shards of a schedule, and the next reading moves those of a shard that is away now.
  if (isChanging && isDecided && shards.up().length === shards.all.length)
    await moveSchedules(shards, queues);
  const ranges = await shards.engine(0).clusterSlots();
  const reports = await Promise.all(
    [...shards.all.keys()].map(async (shard): Promise<ShardReport> => {
      const name = layout.places[shard] ?? "";
      const slot = slotOfTag(name);
      const master = ranges?.find(({ from, to }) => from <= slot && slot <= to)?.address;
      const place = ranges === undefined ? name : `${name} at ${master ?? "no master"}`;
      const counted = shards.isUp(shard) ? await countOn(shards, shard, queues, isChanging) : undefined;
      if (counted === undefined) return { shard, place, state: "down", open: 0, left: 0 };
      const { open, left } = counted;
      return { shard, place, state: shard < layout.count ? "open" : "draining", open, left };
    }),
  );
  const left = reports.reduce((sum, report) => sum + report.left, 0);
  const isComplete = left === 0 && isDecided && reports.every(({ state }) => state !== "down");
  if (isChanging && isComplete) {
    await complete(shards);
    return await readShards(engine);
  }
  return { count: layout.count, earlier: layout.earlier, shards: reports, left };
}

/** Counts the jobs of a shard; returns undefined if the shard stops answering meanwhile. */
async function countOn(
  shards: Shards,
  shard: number,
  queues: readonly string[],
  isChanging: boolean,
): Promise<{ readonly open: number; readonly left: number } | undefined> {
  let open = 0;
  let left = 0;
  const countLane = async (name: string, opened: LaneQueue): Promise<void> => {
    const counts = await shards.ask(shard, () => opened.getJobCounts(...OPEN_STATES));
    for (const count of Object.values(counts)) open += count;
    if (!isChanging) return;
    const schedules = await shards.ask(shard, () => opened.getJobSchedulers(0, -1, true));
    left += schedules.filter(({ key }) => isLeft(shards, shard, placeOfKey(key))).length;
    left += await leftIn(shards, shard, name);
  };
  try {
    for (const name of queues.flatMap((queue) => lanes.map((lane) => laneQueueName(queue, lane))))
      await withLane(shards.engine(shard), name, (opened) => countLane(name, opened));
  } catch (error) {
    if (error instanceof ShardDownError) return undefined;
    throw error;
  }
  return { open, left };
}

/** Counts the jobs of a lane that the present layout would not store on this shard. */
async function leftIn(shards: Shards, shard: number, laneName: string): Promise<number> {
  let left = 0;
  for (const state of STORED_STATES) {
    for (let from = 0; ; from += IDS_AT_ONCE) {
      const ids = await shards.ask(shard, (engine) =>
        engine.idsIn(laneName, state, from, IDS_AT_ONCE, "oldest"),
      );
      left += ids.filter((id) => isLeft(shards, shard, placeOfId(id))).length;
      if (ids.length < IDS_AT_ONCE) break;
    }
  }
  return left;
}

function isLeft({ layout }: Shards, shard: number, place: ShardPlace): boolean {
  if (shard >= layout.count) return true;
  return place.kind === "hashed" && shardOfHash(place.hash, layout.count) !== shard;
}

/** Ends a change: the earlier layouts have no jobs, and shards that were removed leave. */
async function complete(shards: Shards): Promise<void> {
  const { count, places, keysFrom } = shards.layout;
  const removed = shards.all.slice(count, allShards(shards.layout)).map((engine) => engine.shardRecord());
  for (const record of removed) await record.remove();
  await shards.store({ count, earlier: [], places: places.slice(0, count), keysFrom });
}
