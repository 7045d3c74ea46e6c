/**
 * Values across a thread boundary: structured clone, and what it loses.
 *
 * Structured clone refuses functions, turns a Buffer into a Uint8Array (and copies the whole pool behind a
 * small one), and strips errors. `pack` walks a value once and notes where such things are; they travel as
 * patches beside the value, so that the receiver touches only those places. A value that has none of them,
 * nearly every value, is sent as it is.
 */
import { isMarkedAsUntransferable } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { types } from "node:util";
import { TransferError, UncloneableError } from "../errors.ts";
import { decodeError, encodeError } from "./error-transport.ts";
import type { EncodedError } from "./error-transport.ts";
import { isPlainTree } from "./plain-tree.ts";
import { transferListOf } from "./transfer.ts";

const MOVED = "a buffer that was moved before";

/** One step of a path: a key, an index, or the nth entry of a Map or Set. */
export type Step = string | number | { readonly entry: number; readonly part: "key" | "value" };
export type Patch =
  | readonly [path: readonly Step[], kind: "buffer"]
  | readonly [path: readonly Step[], kind: "error", error: EncodedError]
  | readonly [path: readonly Step[], kind: "function", index: number];

export interface Packed {
  value: unknown;
  patches: Patch[] | null;
  transfer: Transferable[] | null;
}
type Transferable = NonNullable<Parameters<MessagePort["postMessage"]>[1]>[number];

/** Keeps the functions found in a value, and gives each an index. */
export type FunctionSink = (fn: (...args: unknown[]) => unknown) => number;

class Walk {
  patches: Patch[] | null = null;
  /** A set: two arguments may be views of one buffer, which moves once. */
  transfer: Set<object> | null = null;
  /** What has to be replaced before structured clone sees it. */
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
    if (
      value === null ||
      (typeof value !== "object" && typeof value !== "function" && typeof value !== "symbol")
    )
      return;
    this.#path.push(step);
    this.visit(value);
    this.#path.pop();
  }

  #patch(kind: "buffer" | "error" | "function", more?: unknown): void {
    const path = [...this.#path];
    this.patches ??= [];
    this.patches.push((more === undefined ? [path, kind] : [path, kind, more]) as unknown as Patch);
  }

  #replace(value: object, by: unknown): void {
    this.replaced ??= new Map();
    this.replaced.set(value, by);
  }

  visit(value: unknown): void {
    if (typeof value === "symbol") throw this.#refuse("a symbol");
    if (typeof value === "function") {
      if (this.#sink === null) throw this.#refuse(`a function${value.name ? ` (${value.name})` : ""}`);
      this.#patch("function", this.#sink(value as (...args: unknown[]) => unknown));
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
    if (this.#seen?.has(value)) {
      // A second way to something that carries patches would need patches of its own: rare, and only a
      // function or error reached twice. Those are leaves and never in `seen`.
      return;
    }
    if (types.isNativeError(value)) {
      this.#patch("error", encodeError(value));
      this.#replace(value, null);
      return;
    }
    (this.#seen ??= new Set()).add(value);
    this.#visitMembers(value);
  }

  #visitBuffer(buffer: Buffer): void {
    this.#patch("buffer");
    const whole = buffer.buffer;
    // A small Buffer is a window on a pool of 8 kB, which structured clone would copy whole.
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
    } else if (isClonedWhole(value)) {
      // Nothing inside that we could reach.
    } else {
      const refused = refusedKind(value);
      if (refused !== null) throw this.#refuse(refused);
      for (const key of Object.keys(value)) this.#visitAt(key, (value as Record<string, unknown>)[key]);
    }
  }

  #refuse(what: string): UncloneableError {
    return new UncloneableError(showPath(this.#root, this.#path), what);
  }
}

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

/** `args[0].options["on load"]`, as it would be written in code. */
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

/** A copy of the containers of `value`, in which what is in `replaced` is replaced; cycles stay cycles. */
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
  const keys = Object.keys(value);
  // Host objects (a MessagePort, a KeyObject) are cloned or transferred as themselves.
  if (keys.length === 0 && prototype !== Object.prototype && prototype !== null) return value;
  const copy: Record<string, unknown> = {};
  copies.set(value, copy);
  for (const key of keys) copy[key] = rebuild((value as Record<string, unknown>)[key], replaced, copies);
  return copy;
}

/** True for values that structured clone carries as they are. */
export function isSimple(value: unknown): boolean {
  return (
    value === null || (typeof value !== "object" && typeof value !== "function" && typeof value !== "symbol")
  );
}

/**
 * Makes a value ready to be posted.
 *
 * @param root how error messages name the value ("arguments", "result")
 * @param sink what becomes of functions; without one they are refused
 * @throws UncloneableError naming the path of what cannot cross
 */
export function pack(value: unknown, root: string, sink: FunctionSink | null): Packed {
  if (isSimple(value) || isPlainTree(value)) return { value, patches: null, transfer: null };
  const walk = new Walk(root, sink);
  walk.visit(value);
  const { patches, transfer, replaced } = walk;
  return {
    value: replaced === null ? value : rebuild(value, replaced, new Map()),
    patches,
    transfer: transfer === null ? null : ([...transfer] as Transferable[]),
  };
}

/** Puts back what `pack` noted. */
export function unpack(
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
  if (patch[1] === "buffer") {
    // Reached twice, it is a Buffer already.
    if (Buffer.isBuffer(old)) return old;
    const bytes = old as Uint8Array;
    return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
  }
  if (patch[1] === "error") return decodeError(patch[2]);
  return callback?.(patch[2]);
}

function nth(collection: Iterable<unknown>, index: number): unknown {
  let at = 0;
  for (const item of collection) if (at++ === index) return item;
  return undefined;
}

function read(holder: unknown, step: Step): unknown {
  if (typeof step !== "object") return (holder as Record<string | number, unknown>)[step];
  if (holder instanceof Map) return nth(step.part === "key" ? holder.keys() : holder.values(), step.entry);
  return nth(holder as Set<unknown>, step.entry);
}

function write(holder: unknown, step: Step, value: unknown): void {
  if (typeof step !== "object") {
    (holder as Record<string | number, unknown>)[step] = value;
  } else if (holder instanceof Map && step.part === "value") {
    holder.set(nth(holder.keys(), step.entry), value);
  } else if (holder instanceof Map) {
    const entries = [...holder].map(([key, item], i) => [i === step.entry ? value : key, item] as const);
    holder.clear();
    for (const [key, item] of entries) holder.set(key, item);
  } else {
    const members = [...(holder as Set<unknown>)].map((item, i) => (i === step.entry ? value : item));
    (holder as Set<unknown>).clear();
    for (const item of members) (holder as Set<unknown>).add(item);
  }
}

/** Whether a buffer, or the one behind a view, was moved to another thread before. */
function wasMoved(value: unknown): boolean {
  const buffer: unknown = ArrayBuffer.isView(value) ? value.buffer : value;
  return types.isArrayBuffer(buffer) && buffer.detached;
}

/**
 * For a value that structured clone refused although `pack` saw nothing wrong: where, and what.
 *
 * @param refused why structured clone refused it, where no part of the value explains it
 * @param transfer what was to be moved with it
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
    let reason: string;
    try {
      structuredClone(at);
      return null;
    } catch (error) {
      reason = (error as Error).message;
    }
    if (typeof at === "object" && at !== null && !types.isProxy(at)) {
      for (const key of Object.keys(at)) {
        path.push(Array.isArray(at) ? Number(key) : key);
        const found = search((at as Record<string, unknown>)[key]);
        if (found !== null) return found;
        path.pop();
      }
    }
    return isMarkedAsUntransferable(at as object) ? "a pooled or otherwise untransferable buffer" : reason;
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
