import { types } from "node:util";

/** Whether a function's result has to be waited for. */
export function isPending(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    (typeof (value as { then?: unknown }).then === "function" || types.isGeneratorObject(value))
  );
}
