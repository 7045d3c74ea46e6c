import { expect, test } from "vitest";
import { idInRun } from "../../src/client/id-in-run.ts";
import { idOfKey, idOnShard, placeOfId, placeOfKey, shardOfHash } from "../../src/contract/shard-id.ts";
import { chooseTags, slotOfTag } from "../../src/engines/sharded/cluster-tags.ts";
import { limitOfShard } from "../../src/engines/sharded/shard-limits.ts";

test("an id has its shard, the hash of its key, or a hash of itself", () => {
  expect(placeOfId(`loop.${idOnShard(7)}`)).toEqual({ kind: "named", shard: 7 });
  expect(placeOfId(`thread.${idOfKey("mail")}`)).toEqual(placeOfKey("mail"));
  expect(placeOfId("loop.order-7")).toEqual(placeOfKey("order-7"));
  // The lane of a task can change, and a schedule has all its runs.
  expect(placeOfId("thread.order-7")).toEqual(placeOfId("loop.order-7"));
  expect(placeOfId("repeat:nightly:1795990000000")).toEqual(placeOfKey("nightly"));
  expect(placeOfId("17")).toEqual({ kind: "foreign" });
});

test("the jobs and children of a durable run have its shard", () => {
  for (const run of [
    "workflow.order-7",
    `workflow.${idOnShard(2)}`,
    "workflow.repeat:nightly:1795990000000",
  ]) {
    const stored = run.replace("workflow.repeat", "repeat");
    const child = `workflow.${idInRun({ run, n: 3 })}`;
    expect(placeOfId(`loop.${idInRun({ run, n: 1 })}`)).toEqual(placeOfId(stored));
    expect(placeOfId(child)).toEqual(placeOfId(stored));
    expect(placeOfId(`thread.${idInRun({ run: child, n: 2 })}`)).toEqual(placeOfId(stored));
  }
});

test("hashed ids are even, and few of them move when the number of shards grows", () => {
  const ids = Array.from({ length: 40_000 }, (_, n) => `order-${n}`);
  const shards = (count: number): number[] =>
    ids.map((id) => {
      const place = placeOfKey(id);
      return place.kind === "hashed" ? shardOfHash(place.hash, count) : -1;
    });
  const eight = shards(8);
  for (let shard = 0; shard < 8; shard++) {
    const share = eight.filter((each) => each === shard).length / ids.length;
    expect(Math.abs(share * 8 - 1), `shard ${shard}`).toBeLessThan(0.1);
  }
  const ten = shards(10);
  const moved = eight.filter((shard, at) => ten[at] !== shard);
  expect(moved.length / ids.length).toBeGreaterThan(0.17);
  expect(moved.length / ids.length).toBeLessThan(0.23);
  expect(ten.filter((shard, at) => shard !== eight[at] && shard < 8)).toEqual([]);
});

test("hash tags are spread over the masters of a cluster, and those that exist stay", () => {
  // The vector of the specification of Redis Cluster.
  expect(slotOfTag("123456789")).toBe(0x31c3);
  const ranges = [
    { from: 0, to: 5_460, master: "a", address: "a" },
    { from: 5_461, to: 10_922, master: "b", address: "b" },
    { from: 10_923, to: 16_383, master: "c", address: "c" },
  ];
  const masterOf = (tag: string): string =>
    ranges.find(({ from, to }) => from <= slotOfTag(tag) && slotOfTag(tag) <= to)!.master;
  for (const count of [3, 6, 12]) {
    const tags = chooseTags([], count, ranges);
    expect(new Set(tags).size).toBe(count);
    for (const master of ["a", "b", "c"])
      expect(tags.filter((tag) => masterOf(tag) === master)).toHaveLength(count / 3);
    expect(chooseTags(tags, count + 3, ranges).slice(0, count)).toEqual(tags);
  }
});

test("the parts of a rate limit add up to it", () => {
  for (const limit of [
    { max: 10, duration: 1_000 },
    { max: 4, duration: 1_000 },
    { max: 1, duration: 250 },
  ]) {
    const parts = Array.from({ length: 4 }, (_, shard) => limitOfShard(limit, shard, 4));
    expect(parts.reduce((rate, part) => rate + part.max / part.duration, 0)).toBeCloseTo(
      limit.max / limit.duration,
    );
  }
});
