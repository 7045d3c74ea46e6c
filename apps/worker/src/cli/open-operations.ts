import { withoutPassword } from "@taskloom/queue/operating";
import { openEngine } from "@taskloom/queue";
import { loadSettings } from "../config/load-settings.ts";
import { EngineOperations } from "../operations/engine-operations.ts";
import { HttpOperations } from "../operations/http-operations.ts";
import { isServiceAddress } from "../operations/service-address.ts";
import type { Operations } from "../operations/operations.ts";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { importModule } from "./import-module.ts";

/** The flags of every command that looks at queues or does something to them. */
export interface OperatorFlags {
  readonly json?: boolean;
  readonly url?: string;
  readonly engine?: string;
  readonly queue?: string;
  readonly module?: readonly string[];
  readonly config?: string;
}

/** What the commands do their work on, and where that is. */
export interface OpenedOperations {
  readonly operations: Operations;
  readonly where: string;
  /** The queue to use when it has to be one. */
  readonly queue: string | undefined;
  close(): Promise<void>;
}

/**
 * Opens what the flags name: a service's HTTP address, or an engine. An embedded engine's folder is opened here, beside
 * the processes that work on it.
 */
export async function openOperations(flags: OperatorFlags): Promise<OpenedOperations> {
  const { queue: named, ...rest } = flags;
  const { settings, sources } = await loadSettings({
    ...rest,
    ...(named === undefined ? {} : { queue: [named] }),
  });
  // One queue that a variable or the config file names counts as one that the flag names; several are what is listed.
  const queue =
    named ?? (sources.queues !== "default" && settings.queues.length === 1 ? settings.queues[0] : undefined);
  const token = settings.token ?? settings.readToken;
  const url = flags.url ?? process.env["TASKLOOM_URL"];
  if (url !== undefined) {
    if (!isServiceAddress(url)) {
      throw new CliFailure(
        "SERVICE_URL",
        `${url} is no address of a service; use one such as http://127.0.0.1:7373, or unix:PATH.`,
        { exitCode: EXIT_CODES.usage },
      );
    }
    const operations = new HttpOperations(url, token);
    return { operations, where: withoutPassword(url), queue, close: () => operations.close() };
  }
  const engine = openEngine(settings.engine);
  await engine.connect();
  const modules = await Promise.all((flags.module ?? []).map(importModule));
  // A queue that is named to be looked at has to be there; one that is set up is shown while it is empty, too.
  const shown = queue === undefined ? settings.queues : ["default"];
  const operations = new EngineOperations(engine, shown, modules);
  return {
    operations,
    where: engine.url,
    queue,
    close: async () => {
      await operations.close();
      await engine.close();
    },
  };
}
