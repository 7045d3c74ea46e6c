import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { EmbeddedDatabaseError, openEngine } from "@taskloom/queue";
import { embeddedFolder } from "@taskloom/queue/operating";
import { loadSettings } from "../config/load-settings.ts";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";

/** Runs `taskloom backup FILE`: copies the jobs of an embedded engine while its processes go on. */
export async function backupCommand(file: string, flags: Readonly<Record<string, unknown>>): Promise<number> {
  const { settings } = await loadSettings(flags);
  const folder = embeddedFolder(settings.engine);
  if (folder === undefined) {
    throw new CliFailure(
      "BACKUP_UNSUPPORTED",
      "Only an embedded engine can be copied; use the tools of the server, such as redis-cli --rdb and pg_dump",
      { exitCode: EXIT_CODES.usage },
    );
  }
  // To open a folder creates it, so a mistyped one would result in an empty copy.
  if ((await stat(resolve(folder, "taskloom.sqlite")).catch(() => undefined)) === undefined)
    throw new CliFailure(
      "BACKUP_FAILED",
      `There is no embedded engine in ${folder}; name its folder with --engine`,
    );
  const engine = openEngine(settings.engine);
  try {
    await engine.connect();
    await engine.backup?.(resolve(file));
  } catch (error) {
    if (error instanceof EmbeddedDatabaseError && error.code === "EMBEDDED_FILE_EXISTS") throw error;
    throw new CliFailure("BACKUP_FAILED", `${file} was not written: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    await engine.close();
  }
  const { size } = await stat(file);
  process.stdout.write(`${file}: ${size.toLocaleString("en-US")} bytes\n`);
  return EXIT_CODES.ok;
}
