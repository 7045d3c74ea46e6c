import type { Engine } from "../../contract/engine.ts";
import { RedisEngine } from "./redis-engine.ts";

/** Returns the engine that a URL names; see {@link loadEngine}. */
export const open = (url: string): Engine => RedisEngine.open(url);
