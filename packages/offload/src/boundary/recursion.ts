/**
 * The guard against programs that start threads without end.
 *
 * A thread finds a function by importing its module, and that runs the module's top level. A top level that
 * calls the function on a thread would do so on that thread again, which imports the module, and so on. Python's
 * multiprocessing refuses the same while a child process imports the main module.
 *
 * Two rules: what the top level of a module that is being loaded starts may not call a function of that module,
 * nor of another one before the load has ended; and threads of threads have a greatest depth, which ends every
 * recursion that goes another way (a function sent by its text that imports its own module, say).
 *
 * The state hangs off `globalThis`, because a thread may have several copies of this module.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { ThreadRecursionError } from "../errors.ts";
import type { FunctionAddress } from "./wire.ts";

/** How deep threads may start threads. */
const MAX_DEPTH = 8;

/** A module that is, or was, loaded for a call. Everything that its top level starts runs in this context. */
interface Load {
  readonly module: string;
  isOver: boolean;
  /** The load that this one is a part of. */
  readonly outer: Load | undefined;
}

interface ThreadState {
  /** 1 for a thread that the main thread's pool started. */
  readonly depth: number;
  readonly loads: AsyncLocalStorage<Load>;
}

const key = Symbol.for("taskloom.threadRecursion");
const scope = globalThis as unknown as { [key]?: ThreadState };

/** On a thread, before anything is loaded. */
export function enterThread(depth: number): void {
  scope[key] = { depth, loads: new AsyncLocalStorage() };
}

/** How deep this thread is: 0 for the main one. */
export function threadDepth(): number {
  return scope[key]?.depth ?? 0;
}

/** Runs the import of a module on a thread. */
export async function loading<T>(module: string, load: () => Promise<T>): Promise<T> {
  const state = scope[key];
  if (state === undefined) return load();
  const mine: Load = { module, isOver: false, outer: state.loads.getStore() };
  try {
    return await state.loads.run(mine, load);
  } finally {
    mine.isOver = true;
  }
}

const ADVICE =
  "Let only the main program make the call: put it into `if (import.meta.main) { … }` (Node 24.2 and later), " +
  "or move the function to a module of its own";

/**
 * Checks that a call would not start threads without end.
 *
 * @throws ThreadRecursionError
 */
export function checkRecursion(address: FunctionAddress, label: string): void {
  const state = scope[key];
  if (state === undefined) return;
  if (address.kind === "export") checkModule(address.module, label);
  if (state.depth >= MAX_DEPTH)
    throw new ThreadRecursionError(
      `${label} was called ${state.depth} threads deep: each thread started the next. That is what happens ` +
        `when a module calls its own functions on threads while a thread imports it. ${ADVICE}`,
    );
}

/** The same for a module of which something is to be made on another thread. */
export function checkModule(module: string, label: string): void {
  for (let load = scope[key]?.loads.getStore(); load !== undefined; load = load.outer) {
    if (load.isOver && load.module !== module) continue;
    throw new ThreadRecursionError(
      `${label} is called by the top level of ${load.module}, which a thread imports to find a function in it. ` +
        `Every thread would import it, make the call again, and start another thread, without end. ${ADVICE}`,
    );
  }
}
