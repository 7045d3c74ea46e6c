import type { ShardAdmin } from "../contract/shards-report.ts";
import { EngineUnsupportedError } from "../errors.ts";
import { withoutPassword } from "../contract/without-password.ts";
import { loadEngine } from "./load-engine.ts";

/**
 * Opens the shards of an engine for an operator who reads or changes them. The stored number of shards counts, whatever the
 * address says.
 *
 * @throws {@link EngineUrlError} for a URL that names no Redis; {@link EngineUnsupportedError} for another engine.
 */
export function openShards(url: string): ShardAdmin {
  if (!/^rediss?(?:-cluster)?:/i.test(url))
    throw new EngineUnsupportedError(
      `${withoutPassword(url)} has no shards; only Redis has them, as in redis://HOST,HOST or redis-cluster://HOST?shards=2`,
    );
  return loadEngine("sharded").openShards!(url);
}
