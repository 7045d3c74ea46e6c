import type { Engine } from "../../contract/engine.ts";
import type { ShardAdmin } from "../../contract/shards-report.ts";
import { readShards, setShards } from "./change-shards.ts";
import { ShardedEngine } from "./sharded-engine.ts";

/** Returns the engine that a URL names; see {@link loadEngine}. */
export const open = (url: string): Engine => ShardedEngine.open(url);

/** Returns the shards of the engine that a URL names, for an operator who changes them. */
export function openShards(url: string): ShardAdmin {
  const engine = ShardedEngine.openForChange(url);
  return {
    url: engine.url,
    read: () => readShards(engine),
    set: (count) => setShards(engine, count),
    close: () => engine.close(),
    [Symbol.asyncDispose]: () => engine.close(),
  };
}
