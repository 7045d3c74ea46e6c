/**
 * Values across the boundary of a thread: structured clone, and the parts that it loses.
 *
 * Structured clone refuses functions, turns a Buffer into a Uint8Array (and copies the whole pool behind a small
 * one), and strips errors. `encodeValue` walks a value once and notes the places of such parts. The notes travel as
 * patches beside the value, so the receiver changes only those places. Nearly every value has no such part and is
 * sent as it is.
 */
import { isMarkedAsUntransferable } from "node:worker_threads";
import { types } from "node:util";
import { TransferError, UncloneableError } from "../errors.ts";
import { asRecord } from "./as-record.ts";
import { isCallable } from "./callable.ts";
import type { Callable } from "./callable.ts";
import { decodeError, encodeError } from "./error-transport.ts";
import type { EncodedError } from "./error-transport.ts";
import { isPlainTree } from "./plain-tree.ts";
import { transferListOf } from "./transfer.ts";
import type { Movable } from "./transfer.ts";

const MOVED = "a buffer that was moved before";

/** One step of a path: a key, an index, or the nth entry of a Map or Set. */
export type Step = string | number | { readonly entry: number; readonly part: "key" | "value" };

/** The note of a part that structured clone loses, with the place of the part in the value. */
export type Patch =
  | readonly [path: readonly Step[], kind: "buffer"]
  | readonly [path: readonly Step[], kind: "error", error: EncodedError]
  | readonly [path: readonly Step[], kind: "function", index: number];

/** A value that is ready to be posted. */
export interface EncodedValue<T = unknown> {
  value: T;
  patches: Patch[] | null;
  transfer: Movable[] | null;
}

/** Stores a function that was found in a value, and returns the index of the function. */
export type FunctionSink = (fn: Callable) => number;

class Walk {
  patches: Patch[] | null = null;
  /** A set, because two arguments can be views of one buffer, which moves once. */
  transfer: Set<Movable> | null = null;
  /** Objects that structured clone must not see, with their substitutes. */
  replaced: Map<object, unknown> | null = null;
  readonly #path: Step[] = [];
  readonly #root: string;
  readonly #sink: FunctionSink | null;
  #seen: Set<object> | null = null;

  constructor(root: string, sink: FunctionSink | null) {
    this.#root = root;
    this.#sink = sink;
  }

  #visitAt(step: Step, value: unknown): void {
    if (isSimple(value)) return;
    this.#path.push(step);
    this.visit(value);
    this.#path.pop();
  }

  #patch(patch: Patch): void {
    (this.patches ??= []).push(patch);
  }

  #replace(value: object, by: unknown): void {
    (this.replaced ??= new Map()).set(value, by);
  }

  visit(value: unknown): void {
    if (typeof value === "symbol") throw this.#refuse("a symbol");
    if (isCallable(value)) {
      if (this.#sink === null) throw this.#refuse(`a function${value.name ? ` (${value.name})` : ""}`);
      this.#patch([[...this.#path], "function", this.#sink(value)]);
      this.#replace(value, null);
      return;
    }
    if (typeof value !== "object" || value === null) return;
    const list = transferListOf(value);
    if (list !== undefined) {
      this.transfer ??= new Set();
      for (const item of list) this.transfer.add(item);
    }
    if (ArrayBuffer.isView(value)) {
      if (Buffer.isBuffer(value)) this.#visitBuffer(value);
      return;
    }
    // A second way to a noted part would need patches of its own. Only functions and errors can be reached twice and
    // carry a patch, and they never enter `seen`.
    if (this.#seen?.has(value)) return;
    if (types.isNativeError(value)) {
      this.#patch([[...this.#path], "error", encodeError(value)]);
      this.#replace(value, null);
      return;
    }
    (this.#seen ??= new Set()).add(value);
    this.#visitMembers(value);
  }

  #visitBuffer(buffer: Buffer): void {
    this.#patch([[...this.#path], "buffer"]);
    const whole = buffer.buffer;
    // A small Buffer is a window on a pool of 8 kB. Structured clone would copy the whole pool.
    if (whole.byteLength > buffer.byteLength && !(whole instanceof SharedArrayBuffer))
      if (this.transfer === null || !this.transfer.has(whole)) this.#replace(buffer, new Uint8Array(buffer));
  }

  #visitMembers(value: object): void {
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) {
        const item: unknown = value[i];
        if (typeof item !== "number" && typeof item !== "string") this.#visitAt(i, item);
      }
    } else if (types.isMap(value)) {
      let entry = 0;
      for (const [key, item] of value) {
        this.#visitAt({ entry, part: "key" }, key);
        this.#visitAt({ entry, part: "value" }, item);
        entry++;
      }
    } else if (types.isSet(value)) {
      let entry = 0;
      for (const item of value) this.#visitAt({ entry: entry++, part: "value" }, item);
    } else if (!isClonedWhole(value)) {
      const refused = refusedKind(value);
      if (refused !== null) throw this.#refuse(refused);
      const record = asRecord(value);
      for (const key of Object.keys(record)) this.#visitAt(key, record[key]);
    }
  }

  #refuse(what: string): UncloneableError {
    return new UncloneableError(showPath(this.#root, this.#path), what);
  }
}

/** Returns true for objects that have no members to visit. */
function isClonedWhole(value: object): boolean {
  return (
    types.isAnyArrayBuffer(value) ||
    types.isDate(value) ||
    types.isRegExp(value) ||
    types.isBoxedPrimitive(value)
  );
}

function refusedKind(value: object): string | null {
  if (types.isPromise(value)) return "a promise";
  if (types.isWeakMap(value)) return "a WeakMap";
  if (types.isWeakSet(value)) return "a WeakSet";
  if (types.isGeneratorObject(value)) return "a generator";
  if (types.isProxy(value)) return "a Proxy";
  if (value instanceof WeakRef) return "a WeakRef";
  return null;
}

/** Returns a path as code would write it: `args[0].options["on load"]`. */
export function showPath(root: string, path: readonly Step[]): string {
  let shown = root;
  for (const step of path) {
    if (typeof step === "number") shown += `[${step}]`;
    else if (typeof step === "object")
      shown += `.${step.part === "key" ? "keys()" : "values()"}[${step.entry}]`;
    else
      shown += /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
  }
  return shown;
}

/** Returns a copy of the containers of `value` in which each key of `replaced` is its value. Cycles stay cycles. */
function rebuild(value: unknown, replaced: Map<object, unknown>, copies: Map<object, unknown>): unknown {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return value;
  if (replaced.has(value)) return replaced.get(value);
  const known = copies.get(value);
  if (known !== undefined) return known;
  if (Array.isArray(value)) {
    const copy: unknown[] = [];
    copies.set(value, copy);
    for (const item of value) copy.push(rebuild(item, replaced, copies));
    return copy;
  }
  if (types.isMap(value)) {
    const copy = new Map<unknown, unknown>();
    copies.set(value, copy);
    let entry = 0;
    for (const [key, item] of value) {
      // A replaced key needs a key of its own until its patch is applied.
      const newKey =
        typeof key === "object" || typeof key === "function" ? rebuild(key, replaced, copies) : key;
      copy.set(newKey ?? { entry }, rebuild(item, replaced, copies));
      entry++;
    }
    return copy;
  }
  if (types.isSet(value)) {
    const copy = new Set<unknown>();
    copies.set(value, copy);
    let entry = 0;
    for (const item of value) {
      copy.add(rebuild(item, replaced, copies) ?? { entry });
      entry++;
    }
    return copy;
  }
  if (ArrayBuffer.isView(value) || isClonedWhole(value) || refusedKind(value) !== null) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  const record = asRecord(value);
  const keys = Object.keys(record);
  // Host objects (a MessagePort, a KeyObject) are cloned or transferred as themselves.
  if (keys.length === 0 && prototype !== Object.prototype && prototype !== null) return value;
  const copy: Record<string, unknown> = {};
  copies.set(value, copy);
  for (const key of keys) copy[key] = rebuild(record[key], replaced, copies);
  return copy;
}

/** Returns true for values that structured clone carries as they are. */
export function isSimple(value: unknown): boolean {
  return (
    value === null || (typeof value !== "object" && typeof value !== "function" && typeof value !== "symbol")
  );
}

/**
 * Returns a value that is ready to be posted.
 *
 * @param root the name of the value in error messages ("arguments", "result")
 * @param sink stores the functions in the value; without a sink they are refused
 * @throws {@link UncloneableError} with the path of a part that cannot cross
 */
export function encodeValue<T>(value: T, root: string, sink: FunctionSink | null): EncodedValue<T> {
  if (isSimple(value) || isPlainTree(value)) return { value, patches: null, transfer: null };
  const walk = new Walk(root, sink);
  walk.visit(value);
  const { patches, transfer, replaced } = walk;
  return {
    // A copy has the members of the value, apart from those that the patches put back.
    value: replaced === null ? value : (rebuild(value, replaced, new Map()) as T),
    patches,
    transfer: transfer === null ? null : [...transfer],
  };
}

/** Returns the arguments of a call or of a callback, with their patches applied. */
export function decodeArguments(
  args: unknown,
  patches: readonly Patch[] | null | undefined,
  callback?: (index: number) => unknown,
): unknown[] {
  return decodeValue(args, patches, callback) as unknown[];
}

/** Returns a value that `encodeValue` encoded, with its patches applied. */
export function decodeValue(
  value: unknown,
  patches: readonly Patch[] | null | undefined,
  callback?: (index: number) => unknown,
): unknown {
  if (!patches) return value;
  const root = { value };
  for (const patch of patches) {
    const path = patch[0];
    let holder: unknown = root;
    let step: Step = "value";
    for (const next of path) {
      holder = read(holder, step);
      step = next;
    }
    const old = read(holder, step);
    write(holder, step, restore(patch, old, callback));
  }
  return root.value;
}

function restore(patch: Patch, old: unknown, callback?: (index: number) => unknown): unknown {
  switch (patch[1]) {
    case "buffer":
      // A Buffer that can be reached twice was restored at the first place.
      return old instanceof Uint8Array && !Buffer.isBuffer(old)
        ? Buffer.from(old.buffer, old.byteOffset, old.byteLength)
        : old;
    case "error":
      return decodeError(patch[2]);
    case "function":
      return callback?.(patch[2]);
  }
}

function nth(collection: Iterable<unknown>, index: number): unknown {
  let at = 0;
  for (const item of collection) if (at++ === index) return item;
  return undefined;
}

/** The containers through which a path leads. */
type Holder = Record<string | number, unknown> | Map<unknown, unknown> | Set<unknown>;

function read(holder: unknown, step: Step): unknown {
  const container = holder as Holder;
  if (typeof step !== "object") return asRecord(container)[step];
  if (container instanceof Map)
    return nth(step.part === "key" ? container.keys() : container.values(), step.entry);
  return container instanceof Set ? nth(container, step.entry) : undefined;
}

function write(holder: unknown, step: Step, value: unknown): void {
  const container = holder as Holder;
  if (typeof step !== "object") {
    asRecord(container)[step] = value;
  } else if (container instanceof Map && step.part === "value") {
    container.set(nth(container.keys(), step.entry), value);
  } else if (container instanceof Map) {
    const entries = [...container].map(([key, item], i) => [i === step.entry ? value : key, item] as const);
    container.clear();
    for (const [key, item] of entries) container.set(key, item);
  } else if (container instanceof Set) {
    const members = [...container].map((item, i) => (i === step.entry ? value : item));
    container.clear();
    for (const item of members) container.add(item);
  }
}

/** Returns true if a buffer, or the buffer behind a view, was moved to another thread before. */
function wasMoved(value: unknown): boolean {
  const buffer: unknown = ArrayBuffer.isView(value) ? value.buffer : value;
  return types.isArrayBuffer(buffer) && buffer.detached;
}

/**
 * Returns the error for a value that structured clone refused although `encodeValue` found nothing wrong. The error
 * names the refused part.
 *
 * @param refused the message of structured clone, for values of which no part explains it
 * @param transfer the objects that were to be moved with the value
 */
export function findUncloneable(
  value: unknown,
  root: string,
  refused: string,
  transfer: readonly object[] = [],
): UncloneableError | TransferError {
  const path: Step[] = [];
  const seen = new Set<unknown>();
  const moves = new Set<unknown>(transfer);
  const search = (at: unknown): string | null => {
    if (isSimple(at) || seen.has(at)) return null;
    seen.add(at);
    if (wasMoved(at)) return MOVED;
    if (moves.has(at)) return null;
    const reason = reasonOfClone(at);
    if (reason === null || typeof at !== "object" || at === null) return reason;
    if (!types.isProxy(at)) {
      const record = asRecord(at);
      for (const key of Object.keys(record)) {
        path.push(Array.isArray(at) ? Number(key) : key);
        const found = search(record[key]);
        if (found !== null) return found;
        path.pop();
      }
    }
    return isMarkedAsUntransferable(at) ? "a pooled or otherwise untransferable buffer" : reason;
  };
  const what = search(value) ?? refused;
  const where = showPath(root, path);
  if (what === MOVED)
    return new TransferError(
      `${where} was moved to another thread before, and there is nothing left of it here: an earlier call ` +
        "transferred its buffer. Copy what is needed twice with slice(), or use what came back",
    );
  return new UncloneableError(where, what);
}

/** Returns the message with which structured clone refuses a value, or null if it accepts the value. */
function reasonOfClone(value: unknown): string | null {
  try {
    structuredClone(value);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
