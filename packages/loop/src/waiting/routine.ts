import { Coroutine } from "../task/coroutine.ts";
import { requireStrand } from "../task/current.ts";
import { underSignal } from "./signal.ts";

/** A library routine, written once as a generator: lazy, and awaited from either spelling. */
export function routine<T>(
  name: string,
  body: () => Generator<never, T, unknown>,
  signal?: AbortSignal,
): Coroutine<T> {
  const start = signal === undefined ? body : () => underSignal(requireStrand(name), signal, body());
  return new Coroutine<T>(name, generatorOf(start), []);
}

/** Marks a plain function that makes a generator, so that calling it needs no context of its own. */
function generatorOf<T>(fn: () => Generator<never, T, unknown>): () => Generator<never, T, unknown> {
  return Object.getPrototypeOf(fn) === GeneratorFunction
    ? fn
    : function* () {
        return yield* fn();
      };
}

const GeneratorFunction = Object.getPrototypeOf(function* () {}) as object;
