import { Coroutine } from "./coroutine.ts";
import { requireStrand } from "./current.ts";
import { underSignal } from "./signal.ts";

/**
 * Makes a lazy coroutine from a library routine that is written once, as a generator. Both spellings can
 * await it.
 */
export function routine<T>(
  name: string,
  body: () => Generator<never, T, unknown>,
  signal?: AbortSignal,
): Coroutine<T> {
  const start = signal === undefined ? body : () => underSignal(requireStrand(name), signal, body());
  return new Coroutine<T>(name, generatorOf(start), []);
}

/** Returns `fn` as a generator function, so that calling it needs no context of its own. */
function generatorOf<T>(fn: () => Generator<never, T, unknown>): () => Generator<never, T, unknown> {
  return Object.getPrototypeOf(fn) === GENERATOR_FUNCTION
    ? fn
    : function* () {
        return yield* fn();
      };
}

const GENERATOR_FUNCTION = Object.getPrototypeOf(function* () {}) as object;
