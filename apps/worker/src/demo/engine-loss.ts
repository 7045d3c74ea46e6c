import type { Engine } from "@taskloom/queue";
import { isEngineFull } from "@taskloom/queue/operating";
import { CliFailure } from "../errors/cli-failure.ts";

/** The reasons of an engine that end a run. */
export interface EngineLoss {
  /** Rejects when the run cannot go on. */
  readonly lost: Promise<never>;
  readonly onEngineFull: (error: Error) => void;
  /** Receives the errors of workers. Without room for the ends of jobs the run cannot go on. */
  readonly onEngineError: (error: Error) => void;
}

/** Watches an engine that can be full, stop, or not answer for `patience` seconds. */
export function watchEngine(engine: Engine, patience: number): EngineLoss {
  const full = Promise.withResolvers<never>();
  const onEngineFull = ({ message }: Error): void => full.reject(engineFull(engine, message));
  const lost = Promise.race([full.promise, broken(engine), unreachable(engine, patience)]);
  lost.catch(() => {});
  return {
    lost,
    onEngineFull,
    onEngineError: (error) => {
      if (isEngineFull(error)) onEngineFull(error);
    },
  };
}

function engineFull(engine: Engine, message: string): CliFailure {
  return new CliFailure(
    "ENGINE_FULL",
    `${engine.url} has no room left (${message}); make room, and run the same command again to continue`,
  );
}

/** Rejects if an engine of this process has stopped. The files are not the cause, and the run can be continued. */
function broken(engine: Engine): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {});
  engine.onBroken?.(reject);
  return promise;
}

/**
 * Never resolves.
 *
 * @throws {@link CliFailure} with the code `ENGINE_DOWN` if the engine has not answered for `patience` seconds.
 */
async function unreachable(engine: Engine, patience: number): Promise<never> {
  while (true) {
    await new Promise((resolve) => setTimeout(resolve, 500).unref());
    if (engine.downFor() > patience * 1_000) {
      throw new CliFailure(
        "ENGINE_DOWN",
        `${engine.url} has not answered for ${patience} s; its jobs are kept. Start it, and run the same command again to continue`,
      );
    }
  }
}
