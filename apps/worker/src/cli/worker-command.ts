import { withoutPassword, withoutPasswords } from "@taskloom/queue/operating";
import { pino } from "pino";
import type { Logger } from "pino";
import { describeSettings, loadSettings, settingsTable } from "../config/load-settings.ts";
import type { Settings } from "../config/settings.ts";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { LogOutput } from "../service/log-output.ts";
import { runWorkerService } from "../service/worker-service.ts";
import { humanLine } from "../terminal/human-log.ts";
import { out, printJson } from "../terminal/output.ts";
import { visibleJson } from "../terminal/visible-text.ts";
import { runWorkerChild } from "../workers/worker-child.ts";
import { taskDefinitions } from "../workers/worker-view.ts";
import { importModule } from "./import-module.ts";

/** Runs `taskloom worker` until a signal stops it. */
export async function workerCommand(
  modules: readonly string[],
  flags: Readonly<Record<string, unknown>>,
): Promise<number> {
  const loaded = await loadSettings({ ...flags, ...(modules.length === 0 ? {} : { modules }) });
  if (flags["printConfig"] === true) {
    const rows = describeSettings(loaded, withoutPassword);
    if (flags["json"] === true) printJson(rows);
    else out(settingsTable(rows));
    return EXIT_CODES.ok;
  }
  const { settings } = loaded;
  // The processes of the workers read the hooks from the same file.
  if (typeof flags["config"] === "string") process.env["TASKLOOM_CONFIG"] = flags["config"];
  if (settings.modules.length === 0) {
    throw new CliFailure(
      "MODULE",
      "Name at least one module that exports tasks: taskloom worker ./tasks.ts",
      {
        exitCode: EXIT_CODES.usage,
      },
    );
  }
  const logger = makeLogger(settings);
  const objects = await Promise.all(settings.modules.map(importModule));
  if (taskDefinitions(objects).length === 0) {
    throw new CliFailure(
      "NO_TASKS",
      `${settings.modules.join(", ")} exports no task; export what defineTask returns`,
    );
  }
  const slot = process.env["TASKLOOM_SLOT"];
  if (slot !== undefined && process.send !== undefined)
    return await runWorkerChild(settings, objects, Number(slot), logger, loaded.hooks);
  const portIsNamed = loaded.sources.port !== "default";
  return await runWorkerService(settings, objects, logger, { portIsNamed, hooks: loaded.hooks });
}

/**
 * Hides the passwords of URLs, and escapes control characters: a line can quote the error or the arguments of a task.
 */
function shownLine(line: string): string {
  return `${visibleJson(withoutPasswords(line.slice(0, -1)))}\n`;
}

function makeLogger({ logLevel, logFormat }: Settings): Logger {
  const { isTTY } = process.stdout;
  const colors = isTTY && process.stdout.hasColors();
  const isHuman = logFormat === "human" || (logFormat === "auto" && isTTY);
  const humanly = (line: string): string => `${humanLine(withoutPasswords(line.slice(0, -1)), colors)}\n`;
  return pino(
    { level: logLevel, base: { pid: process.pid }, hooks: { streamWrite: isHuman ? humanly : shownLine } },
    new LogOutput(),
  );
}
