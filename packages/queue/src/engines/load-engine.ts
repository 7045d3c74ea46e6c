import { createRequire } from "node:module";
import { extname } from "node:path";
import type { Engine } from "../contract/engine.ts";
import type { ShardAdmin } from "../contract/shards-report.ts";
import { EngineUnsupportedError } from "../errors.ts";
import { messageOf } from "../message-of.ts";

const require = createRequire(import.meta.url);
const EXTENSION = extname(import.meta.url);

/** The module of an engine. */
interface EngineModule {
  readonly open: (url: string) => Engine;
  /** Only an engine with shards has it. */
  readonly openShards?: (url: string) => ShardAdmin;
}

/**
 * Loads the module of an engine, with the libraries that it needs. A process that uses one engine does not load those of
 * the others, and a program that only defines tasks loads none.
 *
 * Loaded by `require`, which Node also has for ES modules, because an engine is opened by a constructor. A registry that
 * the user fills by an import was rejected: the URL alone would no longer be enough.
 *
 * @throws {@link EngineUnsupportedError} if a library of the engine is not installed.
 */
export function loadEngine(name: "redis" | "sharded" | "postgres" | "sqlite" | "memory"): EngineModule {
  try {
    return require(`./${name}/open${EXTENSION}`) as EngineModule;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "MODULE_NOT_FOUND" && code !== "ERR_MODULE_NOT_FOUND") throw error;
    const next =
      name === "postgres" && messageOf(error).includes("'pg'")
        ? "install its client: npm install pg"
        : "leave @taskloom/queue out of the bundle (external), or install it again";
    throw new EngineUnsupportedError(`The ${name} engine cannot be loaded; ${next}`, { cause: error });
  }
}
