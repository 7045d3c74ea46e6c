import { openEngine } from "@taskloom/queue";
import type { Engine } from "@taskloom/queue";
import type { Logger } from "pino";

const pause = 500;

/**
 * Opens an engine that may not be up yet, as when a machine starts everything at once; gives up after `patience`
 * milliseconds with the last error.
 */
export async function connectPatiently(url: string, patience: number, logger: Logger): Promise<Engine> {
  const end = performance.now() + patience;
  for (let told = false; ; told = true) {
    const engine = openEngine(url);
    try {
      await engine.connect();
      return engine;
    } catch (error) {
      await engine.close().catch(() => {});
      const { code, message } = error as Error & { code?: string };
      if (code !== "ENGINE_UNAVAILABLE" || performance.now() + pause > end) throw error;
      if (!told)
        logger.warn(
          { event: "engine" },
          `${message} Waiting up to ${Math.round(patience / 1_000)} s for it.`,
        );
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}
