import { resolve } from "node:path";
import { SqliteError } from "./database/errors.ts";
import type { OpenOptions } from "./thread/messages.ts";

/** BullMQ's `connection` for a SQLite file. */
export interface SqliteConnectionOptions {
  /** The file. It is made when it is missing; its folder must be there. `":memory:"` keeps nothing. */
  readonly path: string;
  /**
   * `"full"` (default): what is acknowledged survives a power failure. `"normal"`: a power failure may lose the last
   * commits, the death of the process loses nothing; single operations are several times as fast.
   */
  readonly sync?: "full" | "normal";
}

/** @throws {@link SqliteError} with the code `SQLITE_OPTIONS` for options that name no file. */
export function openOptions(connection: unknown): OpenOptions {
  const { path, sync = "full" } = (connection ?? {}) as Partial<SqliteConnectionOptions>;
  if (typeof path !== "string" || path === "") {
    throw new SqliteError(
      "SQLITE_OPTIONS",
      `Expected \`connection.path\` to be the path of a file, got ${JSON.stringify(path)}.`,
    );
  }
  if (sync !== "full" && sync !== "normal") {
    throw new SqliteError(
      "SQLITE_OPTIONS",
      `Expected \`connection.sync\` to be "full" or "normal", got ${JSON.stringify(sync)}.`,
    );
  }
  return { path: path === ":memory:" ? path : resolve(path), sync };
}
