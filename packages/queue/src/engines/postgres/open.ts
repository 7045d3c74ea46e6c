import type { Engine } from "../../contract/engine.ts";
import { PostgresEngine } from "./postgres-engine.ts";

/** Returns the engine that a URL names; see {@link loadEngine}. */
export const open = (url: string): Engine => PostgresEngine.open(url);
