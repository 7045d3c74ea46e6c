import { AsyncLocalStorage } from "node:async_hooks";

/** Calls a function outside the context of every task of this process, so that no cancel of a caller reaches its tasks. */
export const outsideTasks: <T>(fn: () => T) => T = AsyncLocalStorage.snapshot();
