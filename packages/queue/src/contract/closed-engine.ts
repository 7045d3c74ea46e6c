import { EngineUnavailableError } from "../errors.ts";

/** Returns the error of an engine that is used after it was closed. */
export function closedEngine(url: string): EngineUnavailableError {
  return new EngineUnavailableError(`The engine at ${url} was closed in this process: open a new one`);
}
