import type { Engine } from "../../contract/engine.ts";
import { MemoryEngine } from "./memory-engine.ts";

/** Returns the engine that a URL names; see {@link loadEngine}. */
export const open = (url: string): Engine => MemoryEngine.open(url);
