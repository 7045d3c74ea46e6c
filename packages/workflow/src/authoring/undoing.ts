import { coroutine } from "@taskloom/loop";
import type { Awaitable, Coroutine } from "@taskloom/loop";
import { UndoFailedError } from "../errors.ts";

/** Adds a compensation. The last one added runs first. */
export type Undo = (compensation: () => Awaitable<unknown>) => void;

const undoingBody = coroutine(function* (fn: (undo: Undo) => Awaitable<unknown>) {
  const compensations: (() => Awaitable<unknown>)[] = [];
  try {
    return yield* coroutine(fn)((compensation) => compensations.push(compensation));
  } catch (error) {
    const failures: unknown[] = [];
    for (const compensation of compensations.toReversed()) {
      try {
        yield* coroutine(compensation)();
      } catch (failure) {
        failures.push(failure);
      }
    }
    if (failures.length === 0) throw error;
    const count = `${failures.length} of ${compensations.length}`;
    throw new UndoFailedError(
      `The work failed, and ${count} compensations failed, too: see \`cause\` and \`errors\`, and undo by hand`,
      failures,
      { cause: error },
    );
  }
});

/**
 * Runs a body with compensations: if the body throws or is cancelled, those that it has added run in reverse order, and
 * then the error goes on. In a run they are steps as any others, so a crash in between does not stop them.
 *
 * @throws the error of the body.
 * @throws {@link UndoFailedError} if a compensation fails; the others run all the same.
 * @example
 * ```ts
 * import { run } from "@taskloom/loop";
 * import { defineTask } from "@taskloom/queue";
 * import { defineWorkflow, step, undoing } from "@taskloom/workflow";
 *
 * const charge = defineTask({ name: "charge" }, (euros: number) => `receipt of ${euros}`);
 * const refund = defineTask({ name: "refund" }, (receipt: string) => console.log("refund", receipt));
 * const order = defineWorkflow({ name: "order" }, function* (euros: number) {
 *   yield* undoing(function* (undo) {
 *     const receipt = yield* step(charge, euros);
 *     undo(() => step(refund, receipt));
 *     throw new Error("sold out");
 *   });
 * });
 * await run(order(5)).catch((error) => console.log(error.message));
 * // refund receipt of 5
 * // sold out
 * ```
 */
export function undoing<T>(
  fn: ((undo: Undo) => Generator<unknown, T, unknown>) | ((undo: Undo) => Awaitable<T>),
): Coroutine<T> {
  return undoingBody(fn) as Coroutine<T>;
}
