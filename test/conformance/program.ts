/**
 * A conformance program: a small JSON tree with the same meaning for a Python interpreter (`reference.py`, on
 * CPython's asyncio) and a TypeScript interpreter (`interpret.ts`, on `@taskloom/loop`).
 *
 * All objects that a running program creates (tasks, futures, scopes, handles) are stored in numbered lists.
 * A reference is "number k, modulo the current length". Every statement therefore has a meaning at every
 * moment, and the shrinker can delete any statement without breaking the others.
 */
export interface Program {
  /** Shared objects, created before the first step. */
  readonly objects: readonly ObjectSpec[];
  /** Coroutine functions. A body mentions only earlier functions and callbacks. */
  readonly functions: readonly Block[];
  /** Bodies of plain callbacks; synchronous statements only. */
  readonly callbacks: readonly Block[];
  /** The body of the first task. */
  readonly main: Block;
  /**
   * Few of its events share an instant. At its end, the remaining tasks are cancelled one after the other.
   */
  readonly isSpread?: true;
}

export type ObjectSpec =
  | { readonly kind: "lock" | "event" }
  | { readonly kind: "semaphore" | "bounded"; readonly value: number }
  /** `lock`: the number of a shared lock; without it, the object has a lock of its own. */
  | { readonly kind: "condition"; readonly lock?: number }
  | { readonly kind: "barrier"; readonly parties: number }
  | { readonly kind: "fifo" | "lifo" | "priority"; readonly maxsize: number };

export type Block = readonly Statement[];

/** `any` is all of tasks, futures, stored gathers and shields, in the order of their creation. */
export type Reference = readonly ["task" | "future" | "outer" | "any" | "self", number];

/** An awaitable: a reference, a new coroutine, or the same object as an earlier item. */
export type Item =
  | { readonly ref: Reference }
  | { readonly fn: number }
  /** The library's own awaitable, with no function of the program around it. */
  | { readonly raw: RawStep }
  /** Only in lists: the item with that number, a second time. */
  | { readonly same: number };

export type RawStep =
  | { readonly op: "sleep"; readonly time: number; readonly value: number | null }
  | {
      readonly op: "acquire" | "waitEvent" | "waitCondition" | "waitBarrier" | "get" | "join";
      readonly object: number;
    }
  | { readonly op: "put"; readonly object: number; readonly value: number };

export type Catch = "cancelled" | "timeout" | "boom" | "group" | "error" | "all";
export type ReturnWhen = "ALL_COMPLETED" | "FIRST_COMPLETED" | "FIRST_EXCEPTION";

/**
 * `n` numbers the statement in traces. Times are in the loop's units: milliseconds here, seconds in Python.
 */
export type Statement = { readonly n: number } & (SyncStep | AsyncStep);

/** Steps that a callback may contain, too. */
export type SyncStep =
  | { readonly op: "spawn"; readonly fn: number }
  | { readonly op: "spawnRaw"; readonly raw: RawStep }
  | { readonly op: "groupSpawn"; readonly fn: number; readonly group: number }
  | { readonly op: "cancel"; readonly ref: Reference; readonly message: string | null }
  | { readonly op: "uncancel" | "cancelling" | "state" | "result" | "exception"; readonly ref: Reference }
  | { readonly op: "future" }
  | { readonly op: "setResult"; readonly ref: Reference; readonly value: number }
  | { readonly op: "setException"; readonly ref: Reference; readonly message: string }
  | { readonly op: "setCancelled"; readonly ref: Reference; readonly message: string | null }
  | { readonly op: "addDone" | "removeDone"; readonly ref: Reference; readonly callback: number }
  | { readonly op: "callSoon"; readonly callback: number }
  | { readonly op: "callLater" | "callAt"; readonly time: number; readonly callback: number }
  | { readonly op: "cancelHandle"; readonly handle: number }
  | { readonly op: "storeGather"; readonly items: readonly Item[]; readonly returnExceptions: boolean }
  | { readonly op: "storeShield"; readonly item: Item }
  | { readonly op: "reschedule"; readonly scope: number; readonly time: number | null }
  | { readonly op: "scope"; readonly scope: number }
  | { readonly op: "ticker"; readonly count: number }
  | { readonly op: "bump" | "allTasks" }
  | { readonly op: "raise"; readonly message: string }
  | {
      readonly op: "release" | "locked" | "set" | "clear" | "notifyAll" | "objectState";
      readonly object: number;
    }
  | { readonly op: "getNowait" | "taskDone"; readonly object: number }
  | { readonly op: "notify"; readonly object: number; readonly count: number }
  | { readonly op: "putNowait"; readonly object: number; readonly value: number }
  | { readonly op: "shutdown"; readonly object: number; readonly immediate: boolean };

/** Steps that may suspend, or that need a coroutine around them. */
export type AsyncStep =
  | { readonly op: "sleep"; readonly time: number; readonly value: number | null }
  | { readonly op: "return"; readonly value: number }
  | { readonly op: "raiseCancelled"; readonly message: string | null }
  | { readonly op: "call"; readonly fn: number }
  | { readonly op: "await"; readonly ref: Reference }
  | { readonly op: "gather"; readonly items: readonly Item[]; readonly returnExceptions: boolean }
  | {
      readonly op: "wait";
      readonly refs: readonly Reference[];
      readonly timeout: number | null;
      readonly returnWhen: ReturnWhen;
    }
  | { readonly op: "waitFor"; readonly item: Item; readonly timeout: number | null }
  | { readonly op: "shield"; readonly item: Item }
  | {
      readonly op: "asCompleted";
      readonly items: readonly Item[];
      readonly timeout: number | null;
      readonly style: "iterator" | "asyncIterator";
      readonly take: number;
    }
  | { readonly op: "timeout" | "timeoutAt"; readonly time: number | null; readonly body: Block }
  | { readonly op: "group"; readonly body: Block }
  | {
      readonly op: "try";
      readonly body: Block;
      readonly catch: Catch | null;
      readonly handler: Block;
      readonly rethrow: boolean;
      readonly finally: Block;
    }
  | { readonly op: "repeat"; readonly times: number; readonly body: Block }
  | {
      readonly op:
        | "acquire"
        | "waitEvent"
        | "waitCondition"
        | "waitBarrier"
        | "resetBarrier"
        | "abortBarrier";
      readonly object: number;
    }
  | { readonly op: "waitPredicate"; readonly object: number; readonly atLeast: number }
  | { readonly op: "with"; readonly object: number; readonly body: Block }
  | { readonly op: "get" | "join"; readonly object: number }
  | { readonly op: "put"; readonly object: number; readonly value: number };
