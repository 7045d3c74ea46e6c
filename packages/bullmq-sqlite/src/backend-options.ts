import { resolve } from "node:path";
import { SqliteError } from "./database/errors.ts";
import type { OpenOptions } from "./thread/messages.ts";

/** BullMQ's `connection` for a SQLite file. */
export interface SqliteConnectionOptions {
  /** The file. If it is missing, it is made, in a folder that exists. `":memory:"` stores nothing on the disk. */
  readonly path: string;
  /**
   * With `"full"`, the default, acknowledged operations survive a power failure. With `"normal"`, a power failure can
   * lose the last commits and the death of the process loses nothing, and single operations are several times as fast.
   */
  readonly sync?: "full" | "normal";
}

/**
 * Returns BullMQ's `connection` as checked options, with the whole path.
 *
 * @throws {@link SqliteError} with the code `SQLITE_OPTIONS` if an option is invalid.
 */
export function openOptions(connection: unknown): OpenOptions {
  const { path, sync = "full" } = (connection ?? {}) as Partial<SqliteConnectionOptions>;
  if (typeof path !== "string" || path === "") {
    throw new SqliteError(
      "SQLITE_OPTIONS",
      `Expected \`connection.path\` to be the path of a file, got ${JSON.stringify(path)}`,
    );
  }
  if (sync !== "full" && sync !== "normal") {
    throw new SqliteError(
      "SQLITE_OPTIONS",
      `Expected \`connection.sync\` to be "full" or "normal", got ${JSON.stringify(sync)}`,
    );
  }
  return { path: path === ":memory:" ? path : resolve(path), sync };
}
