import { EngineUrlError } from "../errors.ts";
import type { Engine } from "../contract/engine.ts";
import { hasShards } from "../contract/shard-url.ts";
import { loadEngine } from "./load-engine.ts";
import { withoutPassword } from "../contract/without-password.ts";

/** The default engine. */
export const DEFAULT_ENGINE = "embedded:.taskloom";

const EXAMPLES =
  '"redis://HOST:6379", "rediss://…", "redis://HOST,HOST" (a shard on each), "redis-cluster://HOST:6379,HOST:6379", "postgres://HOST/DATABASE", "embedded:FOLDER" or "memory:"';

/**
 * Returns the engine that a URL names. The engine connects at its first use.
 *
 * @throws {@link EngineUrlError} if the URL names no engine, {@link EngineUnsupportedError} if a library of the engine,
 *   such as pg, is not installed.
 */
export function openEngine(url: string): Engine {
  const scheme = /^([a-z-]+):/i.exec(url)?.[1]?.toLowerCase();
  switch (scheme) {
    case "redis":
    case "rediss":
    case "redis-cluster":
    case "rediss-cluster":
      return loadEngine(hasShards(url) ? "sharded" : "redis").open(url);
    case "postgres":
    case "postgresql":
      return loadEngine("postgres").open(url);
    case "embedded":
      return loadEngine("sqlite").open(url);
    case "memory":
      return loadEngine("memory").open(url);
    default:
      throw new EngineUrlError(`${JSON.stringify(withoutPassword(url))} is not an engine; use ${EXAMPLES}`);
  }
}
