import type { Engine } from "../../contract/engine.ts";
import { EmbeddedEngine } from "./embedded-engine.ts";

/** Returns the engine that a URL names; see {@link loadEngine}. */
export const open = (url: string): Engine => EmbeddedEngine.open(url);
