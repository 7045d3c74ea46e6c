import type { Engine } from "@taskloom/queue";
import type { FastifyInstance } from "fastify";
import type { EngineOperations } from "../../operations/engine-operations.ts";
import { ServiceError } from "../../errors/service-error.ts";

const BOARD_PATH = "/board";

/**
 * Adds bull-board at `/board` and returns true, if it is installed. Otherwise `/board` answers with the command that
 * installs it: bull-board is an optional peer dependency, because it is a sixth of an installation (docs/decisions/0019).
 */
export async function addBoard(
  app: FastifyInstance,
  engine: Engine,
  operations: EngineOperations,
  queues: readonly string[],
): Promise<boolean> {
  const installed = await loadBullBoard();
  if (installed === undefined) {
    for (const path of [BOARD_PATH, `${BOARD_PATH}/*`])
      app.all(path, { schema: { hide: true } }, () => {
        throw new ServiceError(
          404,
          "BOARD_NOT_INSTALLED",
          "The package bull-board is not installed; install it beside @taskloom/worker and start the service again: npm install @bull-board/api@9 @bull-board/fastify@9",
        );
      });
    return false;
  }
  await installed.addBullBoard(app, BOARD_PATH, engine, operations, queues);
  return true;
}

/** Returns the module that uses bull-board, or undefined if bull-board itself is not installed. */
async function loadBullBoard(): Promise<typeof import("./bull-board.ts") | undefined> {
  try {
    return await import("./bull-board.ts");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ERR_MODULE_NOT_FOUND" && message.includes("'@bull-board/")) return undefined;
    throw error;
  }
}
