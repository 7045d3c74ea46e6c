/**
 * The guard against programs that start threads without end.
 *
 * A thread finds a function by importing its module, and the import runs the module's top level. A top level that
 * calls the function on a thread would call it on that thread again, which imports the module, and so on. Python's
 * multiprocessing refuses the same while a child process imports the main module.
 *
 * There are two rules. Code that the top level of a module starts on a thread may not call a function of that
 * module; until the load has ended it may not call a function of another module either. And threads of threads have
 * a greatest depth. The depth ends every recursion of another kind, such as a function sent by its source text that
 * imports its own module.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { ThreadRecursionError } from "../errors.ts";
import type { FunctionAddress } from "./function-address.ts";
import { sharedState } from "./shared-state.ts";

/** The greatest depth of threads that start threads. */
const MAX_DEPTH = 8;

/** A module that is being loaded, or was loaded, for a call. Everything that its top level starts runs in this context. */
interface Load {
  readonly module: string;
  isOver: boolean;
  /** The load that this load is a part of. */
  readonly outer: Load | undefined;
}

interface ThreadState {
  /** 1 for a thread that the main thread's pool started, 0 for the main thread. */
  depth: number;
  /** Undefined on the main thread, which loads no module for a call. */
  loads: AsyncLocalStorage<Load> | undefined;
}

const state: ThreadState = sharedState("taskloom.threadRecursion", () => ({ depth: 0, loads: undefined }));

/** Prepares this thread. Called before any module of a function is loaded. */
export function enterThread(depth: number): void {
  state.depth = depth;
  state.loads = new AsyncLocalStorage();
}

/** Returns the depth of this thread: 0 for the main thread. */
export function threadDepth(): number {
  return state.depth;
}

/** Runs the import of a module on a thread. */
export async function loading<T>(module: string, load: () => Promise<T>): Promise<T> {
  const { loads } = state;
  if (loads === undefined) return load();
  const mine: Load = { module, isOver: false, outer: loads.getStore() };
  try {
    return await loads.run(mine, load);
  } finally {
    mine.isOver = true;
  }
}

const ADVICE =
  "Let only the main program make the call: put it into `if (import.meta.main) { … }` (Node 24.2 and later), " +
  "or move the function to a module of its own";

/**
 * Checks that a call does not start threads without end.
 *
 * @throws {@link ThreadRecursionError} if it would
 */
export function checkRecursion(address: FunctionAddress, label: string): void {
  if (state.loads === undefined) return;
  if (address.kind === "export") checkModule(address.module, label);
  if (state.depth >= MAX_DEPTH)
    throw new ThreadRecursionError(
      `${label} was called ${state.depth} threads deep: each thread started the next. That is what happens ` +
        `when a module calls its own functions on threads while a thread imports it. ${ADVICE}`,
    );
}

/**
 * Checks the same for a module that another thread is about to import.
 *
 * @throws {@link ThreadRecursionError} if the top level of a module makes the call
 */
export function checkModule(module: string, label: string): void {
  for (let load = state.loads?.getStore(); load !== undefined; load = load.outer) {
    if (load.isOver && load.module !== module) continue;
    throw new ThreadRecursionError(
      `${label} is called by the top level of ${load.module}, which a thread imports to find a function in it. ` +
        `Every thread would import it, make the call again, and start another thread, without end. ${ADVICE}`,
    );
  }
}
