/**
 * Stands in for `packages/queue/src/engines/load-engine.ts` in tests. Vitest has modules of its own, so an engine that Node
 * loads would have errors and contexts other than those of the test. The packed packages are tested with the original.
 */
import type { loadEngine as original } from "../../packages/queue/src/engines/load-engine.ts";
import { open as memory } from "../../packages/queue/src/engines/memory/open.ts";
import { open as postgres } from "../../packages/queue/src/engines/postgres/open.ts";
import { open as redis } from "../../packages/queue/src/engines/redis/open.ts";
import { openShards, open as sharded } from "../../packages/queue/src/engines/sharded/open.ts";
import { open as sqlite } from "../../packages/queue/src/engines/sqlite/open.ts";

const engines = { memory, postgres, redis, sharded, sqlite };

export const loadEngine: typeof original = (name) => ({ open: engines[name], openShards });
