import { silenceUnserved, withoutPassword } from "@taskloom/queue/operating";
import { openEngine } from "@taskloom/queue";
import { loadSettings } from "../config/load-settings.ts";
import { EngineOperations } from "../operations/engine-operations.ts";
import { HttpOperations } from "../operations/http-operations.ts";
import { isServiceAddress } from "../operations/service-address.ts";
import type { Operations } from "../operations/operations.ts";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { importModule } from "./import-module.ts";

/** The flags of every command that reads or changes queues. */
export interface OperatorFlags {
  readonly json?: boolean;
  readonly url?: string;
  readonly engine?: string;
  readonly queue?: string;
  readonly module?: readonly string[];
  readonly config?: string;
}

/** The opened engine or service of a command. */
export interface OpenedOperations {
  readonly operations: Operations;
  /** The address of the engine or service, without a password. */
  readonly where: string;
  /** The one queue that the flags or settings name. */
  readonly queue: string | undefined;
  close(): Promise<void>;
}

/**
 * Opens the service or the engine that the flags name. This process opens the folder of an embedded engine itself,
 * beside the processes that use it.
 *
 * @throws {@link CliFailure} with the code `SERVICE_URL` if `--url` is not the address of a service.
 */
export async function openOperations(flags: OperatorFlags): Promise<OpenedOperations> {
  const { queue: named, ...rest } = flags;
  const { settings, sources } = await loadSettings({
    ...rest,
    ...(named === undefined ? {} : { queue: [named] }),
  });
  // A single queue in a variable or in the config file counts like the flag. Several queues only filter lists.
  const queue =
    named ?? (sources.queues !== "default" && settings.queues.length === 1 ? settings.queues[0] : undefined);
  const token = settings.token ?? settings.readToken;
  const url = flags.url ?? process.env["TASKLOOM_URL"];
  if (url !== undefined) {
    if (!isServiceAddress(url)) {
      throw new CliFailure(
        "SERVICE_URL",
        `${url} is not the address of a service; use an address such as http://127.0.0.1:7373, or unix:PATH`,
        { exitCode: EXIT_CODES.usage },
      );
    }
    const operations = new HttpOperations(url, token);
    return { operations, where: withoutPassword(url), queue, close: () => operations.close() };
  }
  silenceUnserved(); // A command has a line of its own for that.
  const engine = openEngine(settings.engine);
  await engine.connect();
  const modules = await Promise.all((flags.module ?? []).map(importModule));
  // A named queue has to exist. The queues of the settings are shown also while they are empty.
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

/** Opens the engine or service that the flags name, calls `body` with it, and closes it. */
export async function withOperations(
  flags: OperatorFlags,
  body: (opened: OpenedOperations) => Promise<number>,
): Promise<number> {
  const opened = await openOperations(flags);
  try {
    return await body(opened);
  } finally {
    await opened.close();
  }
}
