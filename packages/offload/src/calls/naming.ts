/**
 * Names for functions, by which another thread finds them.
 *
 * A function value cannot cross to a thread, but its address can: a module and a name in it. A function can carry its
 * address under a well-known symbol, where `threaded` and `defineTask` put it. A function without an address is sent
 * as its source text, which works if the function uses nothing from outside itself.
 */
import { Script } from "node:vm";
import type { AnyFunction } from "../boundary/callable.ts";
import { addressOf, functionAddress } from "../boundary/function-address.ts";
import type { Address } from "../boundary/function-address.ts";
import { NotThreadableError } from "../errors.ts";
import { makeRef } from "../pool/function-ref.ts";
import type { FunctionRef } from "../pool/function-ref.ts";
import { callerModule } from "./caller.ts";

const byFunction = new WeakMap<object, FunctionRef>();
/**
 * The references by source text. A closure is made anew each time its line runs, but its text stays, so one
 * definition serves all of them.
 */
const bySource = new Map<string, FunctionRef>();
const MAX_SOURCES = 1000;

/**
 * Returns the reference for a function.
 *
 * @param below the public function that the user called; the caller's module is the module of the frame above it
 * @throws {@link NotThreadableError} if no thread can find the function
 */
export function refOf(fn: AnyFunction, below: AnyFunction): FunctionRef {
  let ref = byFunction.get(fn);
  if (ref !== undefined) return ref;
  if (typeof fn !== "function")
    throw new NotThreadableError(`Expected a function to run on a thread, got ${typeof fn}`);
  const address = addressOf(fn);
  ref = address === undefined ? sourceRef(fn, below) : addressRef(address);
  byFunction.set(fn, ref);
  return ref;
}

/** Returns a function that stands for an export of a module. It can be named, but not called. */
export function addressed(address: Address): AnyFunction {
  return Object.assign(() => undefined, { [functionAddress]: address });
}

function addressRef({ module, name, parent = null }: Address): FunctionRef {
  return makeRef({ kind: "export", module, parent, name }, name);
}

function sourceRef(fn: AnyFunction, below: AnyFunction): FunctionRef {
  const text = Function.prototype.toString.call(fn);
  // The file of a function decides what its imports find. In other functions it only shows in stack traces, so the
  // first file is used for all of them.
  const hasImports = text.includes("import");
  const key = hasImports ? `${callerModule(below)}\n${text}` : text;
  let ref = bySource.get(key);
  if (ref === undefined) {
    ref = makeRef(
      { kind: "source", text, isMethod: isMethod(fn, text), hasImports, parent: callerModule(below) },
      fn.name || "anonymous function",
    );
    if (bySource.size >= MAX_SOURCES) bySource.delete(bySource.keys().next().value!);
    bySource.set(key, ref);
  }
  return ref;
}

const OTHER_FORMS =
  'Export it from a module and name it with threaded("./module.ts"), or define it with defineTask';

/**
 * Returns true if a function's text is in the form of a method, `name() { … }`.
 *
 * @throws {@link NotThreadableError} if the text cannot stand alone
 */
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
    return error instanceof Error ? error.message : String(error);
  }
}
