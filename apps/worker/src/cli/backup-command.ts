import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { openEngine } from "@taskloom/queue";
import { embeddedFolder } from "@taskloom/queue/operating";
import { loadSettings } from "../config/load-settings.ts";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";

/** `taskloom backup FILE`: copies an embedded engine's jobs while its processes go on. */
export async function backupCommand(file: string, flags: Readonly<Record<string, unknown>>): Promise<number> {
  const { settings } = await loadSettings(flags);
  const folder = embeddedFolder(settings.engine);
  if (folder === undefined) {
    throw new CliFailure(
      "BACKUP_UNSUPPORTED",
      "backup copies an embedded engine; a server has tools of its own, such as redis-cli --rdb and pg_dump.",
      { exitCode: EXIT_CODES.usage },
    );
  }
  // Opening a folder makes it: a mistyped one would be backed up empty.
  if ((await stat(resolve(folder, "taskloom.sqlite")).catch(() => undefined)) === undefined)
    throw new CliFailure(
      "BACKUP_FAILED",
      `there is no embedded engine in ${folder}; name its folder with --engine.`,
    );
  const engine = openEngine(settings.engine);
  try {
    await engine.connect();
    await engine.backup?.(resolve(file));
  } catch (error) {
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
