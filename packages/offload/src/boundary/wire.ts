/**
 * What travels between a pool and its threads. Messages are arrays whose first element says what they are:
 * structured clone writes small arrays faster than objects with keys.
 */
import type { MessagePort } from "node:worker_threads";
import type { EncodedError } from "./error-transport.ts";
import type { Patch } from "./value-transport.ts";

// To a thread.
/** `[RUN, firstSeq, definitions | null, extras | null, fn, argc, ...args, fn, argc, ...args, …]` */
export const RUN = 0;
/** `[CANCEL, seq, message | undefined]`: the call is asked to stop; its slot says so too. */
export const CANCEL = 1;
/** `[CREDIT, seq]`: there is room in the stream's window again (the slot says how much), or it shall stop. */
export const CREDIT = 2;
/** `[RETIRE]`: finish, close the port. */
export const RETIRE = 3;
/** `[FORGET, ...functions]`: these will not be called again. */
export const FORGET = 4;

// From a thread. A bare number says: look at the slots.
/** `[VALUE, seq, value, patches | null]` */
export const VALUE = 0;
/** `[FAILURE, seq, error]` */
export const FAILURE = 1;
/** `[PROGRESS, seq, value, patches | null]` */
export const PROGRESS = 2;
/** `[ITEM, seq, value, patches | null]`: one item of a stream. */
export const ITEM = 3;
/** `[CONSOLE, 1 | 2, text]` */
export const CONSOLE = 4;
/** `[STRAY, error, functionName]`: an error that no running call can answer for. */
export const STRAY = 5;
/** `[HEAP, bytes]`: what the thread's heap holds after a call. */
export const HEAP = 6;
/** `[UNSOUND]`: something escaped on this thread; it should be replaced when it is free. */
export const UNSOUND = 7;
/** `[TELL, seq, [store, message], patches | null]`: something for a value that travelled with the call. */
export const TELL = 8;

/** Where a function is to be found on the other side. */
export type FunctionAddress =
  | {
      readonly kind: "export";
      readonly module: string;
      readonly parent: string | null;
      readonly name: string;
    }
  | {
      readonly kind: "source";
      readonly text: string;
      /** In the form of a method: it needs an object around it. */
      readonly method: boolean;
      /** It may import; where it was written decides what it finds. */
      readonly imports: boolean;
      readonly parent: string | null;
    };

/** A function's number on a pool's threads, with what it stands for; sent once to each thread. */
export type Definition = [id: number, address: FunctionAddress, label: string];

/** What only some calls need. */
export interface CallExtras {
  patches?: readonly Patch[];
  /** The call's own port, for its callbacks and everything else it has to say. */
  port?: MessagePort;
  /** The function is called once for each element of its only argument. */
  each?: boolean;
  /** The function's result is iterated, and each item sent. */
  stream?: boolean;
  /** Propagated values, by name. */
  context?: Readonly<Record<string, unknown>>;
  /** What stands for values of carried stores, by name. */
  luggage?: Readonly<Record<string, unknown>>;
  /** The caller's nearest deadline, in milliseconds of the shared clock. */
  deadline?: number;
  /** The task's name outside. */
  name?: string;
}

export type ToThread =
  | [typeof RUN, number, Definition[] | null, [number, CallExtras][] | null, ...unknown[]]
  | [typeof CANCEL, number, string | undefined]
  | [typeof CREDIT, number]
  | [typeof RETIRE]
  | [typeof FORGET, ...number[]];

export type FromThread =
  | number
  | [typeof VALUE | typeof PROGRESS | typeof ITEM | typeof TELL, number, unknown, readonly Patch[] | null]
  | [typeof FAILURE, number, EncodedError]
  | [typeof CONSOLE, 1 | 2, string]
  | [typeof STRAY, EncodedError, string]
  | [typeof HEAP, number]
  | [typeof UNSOUND];

/** What a method of an object that lives on a thread is called with. */
export interface MethodCall {
  seq: number;
  method: string;
  args: unknown;
  patches: readonly Patch[] | null;
  /** For callbacks among the arguments. */
  callbacks: MessagePort | null;
  context: Readonly<Record<string, unknown>> | null;
}

/** How a method's outcome travels; Comlink's own would strip an error of its class. */
export type MethodAnswer =
  | { value: unknown; patches: readonly Patch[] | null }
  | { error: EncodedError }
  /** Taken back before it began. */
  | { revoked: true };

/** What Comlink exposes of an object. */
export interface ObjectTable {
  call(call: MethodCall): Promise<MethodAnswer>;
  /** Runs the object's own disposal, if it has one. */
  dispose(): Promise<MethodAnswer>;
}

/** What a thread is started with. */
export interface Enlistment {
  port: MessagePort;
  slots: SharedArrayBuffer;
  /** Report the heap's size after calls. */
  watchHeap: boolean;
  /** 1 for a thread of the main thread's pool, 2 for a thread of a thread's pool, and so on. */
  depth: number;
}
