import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { ACTIVE, WAITING } from "../schema/states.ts";
import type { Store } from "../store/store.ts";

/**
 * Writes a copy of the database as it is between two turns. The processes that have the original open do not belong to
 * the copy, so the jobs that they run wait in the copy.
 */
export function backUp(store: Store, path: string): void {
  if (existsSync(path)) {
    const error = new Error(`${path} exists; name a file that does not exist`);
    throw Object.assign(error, { code: "SQLITE_FILE_EXISTS" });
  }
  const partial = `${path}.partial`;
  rmSync(partial, { force: true });
  try {
    store.prepare("VACUUM INTO ?").run(partial);
    const copy = new DatabaseSync(partial);
    try {
      copy.exec(`
        UPDATE job SET state = ${WAITING}, lock_token = NULL, locked_until = NULL, owner = NULL WHERE state = ${ACTIVE};
        DELETE FROM process;
        DELETE FROM client;
      `);
    } finally {
      copy.close();
    }
    const file = openSync(partial, "r+");
    fsyncSync(file);
    closeSync(file);
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}
