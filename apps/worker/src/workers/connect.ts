import { openEngine } from "@taskloom/queue";
import type { Engine } from "@taskloom/queue";
import { silenceUnserved } from "@taskloom/queue/operating";
import type { Logger } from "pino";

const PAUSE_MS = 500;

/**
 * Opens an engine that may still be starting, as when a machine starts all services at once.
 *
 * @param patience milliseconds in which the engine has to answer.
 * @throws the engine's last error after `patience`, and any error but `ENGINE_UNAVAILABLE` at once.
 */
export async function connectPatiently(url: string, patience: number, logger: Logger): Promise<Engine> {
  silenceUnserved(); // A service answers with a notice, and its log is one of lines.
  const end = performance.now() + patience;
  for (let isLogged = false; ; isLogged = true) {
    const engine = openEngine(url);
    try {
      await engine.connect();
      return engine;
    } catch (error) {
      await engine.close().catch(() => {});
      const { code, message } = error as Error & { code?: string };
      if (code !== "ENGINE_UNAVAILABLE" || performance.now() + PAUSE_MS > end) throw error;
      if (!isLogged)
        logger.warn(
          { event: "engine" },
          `${message.replace(/\.$/, "")}. Waiting up to ${Math.round(patience / 1_000)} s for it`,
        );
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
