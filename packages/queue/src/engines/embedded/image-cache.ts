import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { LATEST_SCHEMA_VERSION } from "bullmq";

/**
 * Where the image of an empty database is kept, so that only the first folder on a machine waits for initdb.
 * One a version of PGlite and of BullMQ's schema; `TASKLOOM_CACHE` names another folder than the user's cache.
 */
export function imageFile(): string {
  return join(cacheFolder(), `embedded-pglite${pgliteVersion()}-bullmq${LATEST_SCHEMA_VERSION}.image`);
}

function cacheFolder(): string {
  const { TASKLOOM_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (TASKLOOM_CACHE) return TASKLOOM_CACHE;
  if (process.platform === "win32" && LOCALAPPDATA) return join(LOCALAPPDATA, "taskloom", "cache");
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches", "taskloom");
  return join(XDG_CACHE_HOME || join(homedir(), ".cache"), "taskloom");
}

/** PGlite's package.json is not among its exports: it is found beside its code. */
function pgliteVersion(): string {
  let folder = dirname(fileURLToPath(import.meta.resolve("@electric-sql/pglite")));
  while (folder !== dirname(folder)) {
    const file = join(folder, "package.json");
    if (existsSync(file)) {
      const { name, version } = JSON.parse(readFileSync(file, "utf8")) as { name?: string; version?: string };
      if (name === "@electric-sql/pglite" && version !== undefined) return version;
    }
    folder = dirname(folder);
  }
  return "unknown";
}
