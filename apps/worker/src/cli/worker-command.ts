import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { withoutPassword, withoutPasswords } from "@taskloom/queue/operating";
import { pino } from "pino";
import type { Logger } from "pino";
import { describeSettings, loadSettings, settingsTable } from "../config/load-settings.ts";
import type { Settings } from "../config/settings.ts";
import { LogOutput } from "../service/log-output.ts";
import { visibleJson } from "../service/visible-text.ts";
import { runWorkerChild } from "../service/worker-child.ts";
import { runWorkerService } from "../service/worker-service.ts";
import { taskDefinitions } from "../service/worker-view.ts";
import { CliFailure, exitCodes } from "./failure.ts";
import { out, printJson } from "./output.ts";

/** `taskloom worker`: runs until it is told to stop. */
export async function workerCommand(
  modules: readonly string[],
  flags: Readonly<Record<string, unknown>>,
): Promise<number> {
  const loaded = await loadSettings({ ...flags, ...(modules.length === 0 ? {} : { modules }) });
  if (flags["printConfig"] === true) {
    const rows = describeSettings(loaded, withoutPassword);
    if (flags["json"] === true) printJson(rows);
    else out(settingsTable(rows));
    return exitCodes.ok;
  }
  const { settings } = loaded;
  if (settings.modules.length === 0) {
    throw new CliFailure(
      "MODULE",
      "name at least one module that exports tasks: taskloom worker ./tasks.ts",
      {
        exitCode: exitCodes.usage,
      },
    );
  }
  const logger = makeLogger(settings);
  const objects = await Promise.all(settings.modules.map(importModule));
  if (taskDefinitions(objects).length === 0) {
    throw new CliFailure(
      "NO_TASKS",
      `${settings.modules.join(", ")} exports no task; export what defineTask returns.`,
    );
  }
  const slot = process.env["TASKLOOM_SLOT"];
  if (slot !== undefined && process.send !== undefined)
    return await runWorkerChild(settings, objects, Number(slot), logger);
  const portIsNamed = loaded.sources.port !== "default";
  return await runWorkerService(settings, objects, logger, { portIsNamed });
}

/** Lines may quote a task's error or its arguments: URLs lose their passwords, and a terminal obeys nothing of it. */
function shownLine(line: string): string {
  return `${visibleJson(withoutPasswords(line.slice(0, -1)))}\n`;
}

function makeLogger({ logLevel }: Settings): Logger {
  return pino(
    { level: logLevel, base: { pid: process.pid }, hooks: { streamWrite: shownLine } },
    new LogOutput(),
  );
}

function whyNotLoaded(error: unknown, url: string): string {
  if (!(error instanceof Error)) return String(error);
  const { code, message, stack = "" } = error as NodeJS.ErrnoException & { url?: string };
  if (code === "ERR_MODULE_NOT_FOUND" && (error as { url?: string }).url === url)
    return "there is no such file.";
  // Where in it, or in what it imports: V8 begins with that for what cannot be parsed.
  const place = (/^\S+:\d+(?=\n)/.exec(stack) ?? /file:\/\/\S+?:\d+/.exec(stack))?.[0].replace(
    /^file:\/\//,
    "",
  );
  return place === undefined || code === "ERR_MODULE_NOT_FOUND" ? message : `${message} (${place})`;
}

/** Imports a task module by path or URL. */
export async function importModule(specifier: string): Promise<object> {
  const url = URL.canParse(specifier) ? specifier : pathToFileURL(resolve(specifier)).href;
  try {
    return (await import(url)) as object;
  } catch (error) {
    throw new CliFailure("MODULE", `cannot load the task module ${specifier}: ${whyNotLoaded(error, url)}`, {
      cause: error,
    });
  }
}
