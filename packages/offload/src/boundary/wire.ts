/**
 * The messages between a pool and its threads, and between an object on a thread and its user. A message is an array
 * whose first element is its kind, because structured clone writes small arrays faster than objects with keys.
 */
import type { MessagePort } from "node:worker_threads";
import type { CarriedData } from "./carried-stores.ts";
import type { Propagated } from "./context.ts";
import type { EncodedError } from "./error-transport.ts";
import type { FunctionAddress } from "./function-address.ts";
import type { Patch } from "./value-transport.ts";

// Kinds of messages to a thread.
export const RUN = 0;
export const CANCEL = 1;
export const CREDIT = 2;
export const RETIRE = 3;
export const FORGET = 4;

// Kinds of messages from a thread.
export const VALUE = 0;
export const FAILURE = 1;
export const PROGRESS = 2;
export const ITEM = 3;
export const CONSOLE = 4;
export const UNATTRIBUTED = 5;
export const HEAP = 6;
export const TAINTED = 7;
export const STORE_MESSAGE = 8;

/** A function's number on the threads of a pool, with its address. Each thread receives it once. */
export type Definition = [id: number, address: FunctionAddress, label: string];

/** The metadata of a call that crosses with it. Plain calls have none. */
export interface CallMetadata {
  patches?: readonly Patch[];
  /** The call's own port, for its callbacks and for everything else that it sends. */
  port?: MessagePort;
  /** True if the function is called once for each element of its only argument. */
  isEach?: boolean;
  /** True if the function's result is iterated and each item is sent. */
  isStream?: boolean;
  propagated?: Propagated;
  carried?: CarriedData;
  /** The caller's nearest deadline, in milliseconds of the shared clock. */
  deadline?: number;
  /** The name of the caller's task. */
  name?: string;
}

/** Calls to run, in order. The `calls` are `fn, argc, ...args` for each of them. */
export type RunMessage = [
  kind: typeof RUN,
  firstSeq: number,
  definitions: Definition[] | null,
  metadata: [seq: number, metadata: CallMetadata][] | null,
  ...calls: unknown[],
];
/** A message to a thread. */
export type PoolMessage =
  | RunMessage
  /** The call is asked to stop. A bit in its slot says so, too. */
  | [kind: typeof CANCEL, seq: number, message: string | undefined]
  /** The stream's window has room again (its slot says how much), or the stream has to stop. */
  | [kind: typeof CREDIT, seq: number]
  /** The thread finishes its calls and closes the port. */
  | [kind: typeof RETIRE]
  /** These functions will not be called again. */
  | [kind: typeof FORGET, ...functions: number[]];

/** A message from a thread. A number is a count of results in shared memory. */
export type ThreadMessage =
  | number
  | [
      kind: typeof VALUE | typeof PROGRESS | typeof ITEM,
      seq: number,
      value: unknown,
      patches: readonly Patch[] | null,
    ]
  /** A message for a value that travelled with the call. */
  | [
      kind: typeof STORE_MESSAGE,
      seq: number,
      message: unknown,
      patches: readonly Patch[] | null,
      store: string,
    ]
  | [kind: typeof FAILURE, seq: number, error: EncodedError]
  | [kind: typeof CONSOLE, fd: 1 | 2, data: string | Uint8Array]
  /** An error that belongs to no running call. */
  | [kind: typeof UNATTRIBUTED, error: EncodedError, functionName: string]
  /** The size of the thread's heap after a call. */
  | [kind: typeof HEAP, bytes: number]
  /** An error escaped on this thread. The thread is replaced when it is free. */
  | [kind: typeof TAINTED];

/** The result of a chunk of `map`: the results before the first failure, and the error of that failure. */
export type ChunkResult<R = unknown> = [results: R[], error: EncodedError | null];

/** A call of a method of an object that lives on a thread. */
export interface MethodCall {
  readonly seq: number;
  readonly method: string;
  readonly args: unknown;
  readonly patches: readonly Patch[] | null;
  /** The port for callbacks among the arguments. */
  readonly callbacks: MessagePort | null;
  readonly propagated: Propagated | null;
}

/** The outcome of a method as it travels. Comlink's own form would strip an error of its class. */
export type MethodAnswer =
  | { readonly value: unknown; readonly patches: readonly Patch[] | null }
  | { readonly error: EncodedError }
  /** The call was revoked before it began. */
  | { readonly isRevoked: true };

/** The functions that Comlink exposes of an object. */
export interface ObjectTable {
  call(call: MethodCall): Promise<MethodAnswer>;
  /** Runs the object's own disposal, if it has one. */
  dispose(): Promise<MethodAnswer>;
}

/** The arguments of the function that makes an object on a thread. */
export type ObjectInit = [
  module: string,
  parent: string | null,
  className: string,
  args: readonly unknown[],
  /** Comlink's port, which also carries progress and output. */
  port: MessagePort,
  /** The port on which running methods are asked to stop. */
  control: MessagePort,
  /** The slots of the methods. */
  slots: SharedArrayBuffer,
  /** True if a method begins when it is called, and not when the methods before it have ended. */
  isParallel: boolean,
];

/** The values with which a thread is started. */
export interface ThreadInit {
  readonly port: MessagePort;
  readonly slots: SharedArrayBuffer;
  /** True if the thread reports the size of its heap after calls. */
  readonly watchHeap: boolean;
  /** 1 for a thread of the main thread's pool, 2 for a thread of such a thread's pool, and so on. */
  readonly depth: number;
}
