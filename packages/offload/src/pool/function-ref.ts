/**
 * Naming a function so that another thread can find it.
 *
 * A function value cannot cross a thread, its address can: a module and a name in it. A function may carry
 * its address under a well-known symbol (`threaded` and `defineTask` put it there). One that carries none is
 * sent as its source text, which works when it uses nothing from outside itself.
 */
import { Script } from "node:vm";
import { NotThreadableError } from "../errors.ts";
import { callerModule } from "../calls/caller.ts";
import type { FunctionAddress } from "../boundary/wire.ts";

/** Under this symbol a function carries where it is to be found: `{ module: URL, name }`. */
export const functionAddress: unique symbol = Symbol.for("taskloom.function") as never;

/** Where a function is to be found on another thread, or in another process. */
export interface Address {
  /** The module's URL, or a specifier. */
  readonly module: string;
  /** The export's name, or the name that the exported function's own address has. */
  readonly name: string;
  /** The URL of the module that a bare or relative specifier is resolved from. */
  readonly parent?: string | null;
}

/** A function as the pools know it. */
export interface FunctionRef {
  readonly id: number;
  readonly address: FunctionAddress;
  /** For names and messages. */
  readonly label: string;
  /** For the tasks of its calls, made once. */
  readonly taskOptions: { readonly description: string };
  /** How long a call has taken lately, in milliseconds; unknown at first. */
  meanDuration: number | undefined;
  /** For so many calls more it is noted where they are made; see STACKS. */
  stacks: number;
}

/**
 * To note where a call is made costs more than the rest of it. So it is done for a function's first calls,
 * and again for as many after one that failed: what fails now and then says where it was called from, what
 * never fails does not pay for it.
 */
export const STACKS = 100;

type AnyFunction = (...args: never[]) => unknown;

let lastId = 0;
const byFunction = new WeakMap<object, FunctionRef>();
// A closure is made anew each time its line runs, but its text stays: one definition serves all of them.
const bySource = new Map<string, FunctionRef>();
const MAX_SOURCES = 1000;

function makeRef(address: FunctionAddress, label: string): FunctionRef {
  return {
    id: ++lastId,
    address,
    label,
    taskOptions: { description: label },
    meanDuration: undefined,
    stacks: STACKS,
  };
}

/**
 * The reference for a function.
 *
 * @param below the public function the user called: the caller's module is the one above it
 * @throws NotThreadableError when the function can be reached in no way
 */
export function refOf(fn: AnyFunction, below: AnyFunction): FunctionRef {
  let ref = byFunction.get(fn);
  if (ref !== undefined) return ref;
  if (typeof fn !== "function")
    throw new NotThreadableError(`Expected a function to run on a thread, got ${typeof fn}`);
  const address = (fn as { [functionAddress]?: Address })[functionAddress];
  ref = address === undefined ? sourceRef(fn, below) : addressRef(address);
  byFunction.set(fn, ref);
  return ref;
}

/** A function that stands for an export of a module: only to be named, not to be called. */
export function addressed(address: Address): (...args: never[]) => unknown {
  return Object.assign(() => undefined, { [functionAddress]: address });
}

/** The reference for an export of a module. */
export function addressRef({ module, name, parent = null }: Address): FunctionRef {
  return makeRef({ kind: "export", module, parent, name }, name);
}

function sourceRef(fn: AnyFunction, below: AnyFunction): FunctionRef {
  const text = Function.prototype.toString.call(fn);
  // Where it was written matters to what it imports; to others only in stack traces, so the first place does.
  const imports = text.includes("import");
  const key = imports ? `${callerModule(below)}\n${text}` : text;
  let ref = bySource.get(key);
  if (ref === undefined) {
    const method = isMethod(fn, text);
    ref = makeRef(
      { kind: "source", text, method, imports, parent: callerModule(below) },
      fn.name || "anonymous function",
    );
    if (bySource.size >= MAX_SOURCES) bySource.delete(bySource.keys().next().value!);
    bySource.set(key, ref);
  }
  return ref;
}

const OTHER_FORMS =
  'Export it from a module and name it with threaded("./module.ts"), or define it with defineTask';

/** Throws where a function's text cannot stand alone; true when it is in the form of a method, `name() { … }`. */
function isMethod(fn: AnyFunction, text: string): boolean {
  const label = fn.name || "This function";
  if (/\{\s*\[native code\]\s*\}$/.test(text))
    throw new NotThreadableError(
      `${label} has no source text to send: it is ${fn.name.startsWith("bound ") ? "a bound" : "a native"} function. ` +
        `Wrap the call in a function of its own, (x) => fn(x), or: ${OTHER_FORMS}`,
    );
  if (/^class\b/.test(text))
    throw new NotThreadableError(
      `${label} is a class. To keep an instance of it on a thread, use threadObject(url, "${fn.name}", args)`,
    );
  if (syntaxError(`(${text})`) === null) return false;
  const refused = syntaxError(`({ ${text} })`);
  if (refused !== null)
    throw new NotThreadableError(
      `${label} cannot be sent by its source text (${refused}). ` +
        `It uses something of the class or module it is written in. ${OTHER_FORMS}`,
    );
  if (/\b(?:this|super)\b/.test(text))
    throw new NotThreadableError(
      `${label} is a method and uses the object it belongs to, which does not exist on the thread. ` +
        `Pass what it needs as arguments, or use threadObject. ${OTHER_FORMS}`,
    );
  return true;
}

function syntaxError(expression: string): string | null {
  try {
    void new Script(`"use strict";${expression}`);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}
