/**
 * Errors across a thread boundary, whole.
 *
 * Structured clone keeps an error's message, stack and cause and makes every class one of seven. Here an
 * error travels as a record of what it is: the names of its classes, its own properties, and whatever errors
 * hang off it (`cause`, `errors`, any property), cycles included.
 */
import { inspect, types } from "node:util";
import { errorClassNames, knownErrorPrototype, registerErrorClasses } from "@taskloom/loop";
import * as own from "../errors.ts";

interface ErrorNode {
  /** Class names, the most special first. */
  classes: string[];
  name: string;
  message: string;
  stack: string | undefined;
  /** Own properties other than message and stack. */
  props: [key: string, enumerable: boolean, value: PropertyValue][];
}
type PropertyValue = { error: number } | { errors: PropertyValue[] } | { plain: unknown };

/** An error, or whatever else was thrown, as it travels. */
export interface EncodedError {
  /** The errors that make it up, itself first; none when what was thrown is not an error. */
  nodes: ErrorNode[];
  thrown?: unknown;
}

registerErrorClasses(own);

/** An error may hold so many others. A getter that makes a new error at each reading would have no end. */
const MAX_ERRORS = 100_000;
/** Errors below this depth are left out: those who read a chain of causes recurse, and their stack has an end. */
const MAX_DEPTH = 1000;

const UNREADABLE = "[could not be read]";

/** The value of a property whose getter may throw. */
function readProperty(object: object, key: string): unknown {
  try {
    return (object as Record<string, unknown>)[key];
  } catch {
    return UNREADABLE;
  }
}

/** How a value prints; a value may define that itself, and throw. */
function show(value: unknown): string {
  try {
    return inspect(value);
  } catch {
    return UNREADABLE;
  }
}

/** A value that can be posted: the value itself where structured clone takes it, else how it prints. */
function plain(value: unknown): unknown {
  if (typeof value === "function" || typeof value === "symbol") return show(value);
  if (typeof value !== "object" || value === null) return value;
  try {
    return structuredClone(value);
  } catch {
    return show(value);
  }
}

function text(value: unknown, otherwise: string): string {
  if (value === undefined) return otherwise;
  return typeof value === "string" ? value : show(value);
}

/** One error that is still to be encoded, and how many errors it hangs below. */
type Waiting = [node: ErrorNode, error: Error, depth: number];

/**
 * The record of what was thrown. It never throws, whatever was: a getter that throws, a name that is no
 * string, and what structured clone refuses are replaced by text.
 *
 * @param below a file; frames of it, and those below, are of no use to a reader
 */
export function encodeError(thrown: unknown, below?: string): EncodedError {
  if (!isErrorLike(thrown)) return { nodes: [], thrown: plain(thrown) };
  const nodes: ErrorNode[] = [];
  const numbers = new Map<object, number>();
  // A list and no recursion: a chain of causes may be longer than the stack is deep.
  const waiting: Waiting[] = [];
  const number = (error: Error, depth: number): PropertyValue => {
    const before = numbers.get(error);
    if (before !== undefined) return { error: before };
    if (depth > MAX_DEPTH || nodes.length >= MAX_ERRORS)
      return { plain: `[left out: ${text(readProperty(error, "message"), "an error")}]` };
    const node = describe(error, below);
    numbers.set(error, nodes.push(node) - 1);
    waiting.push([node, error, depth]);
    return { error: nodes.length - 1 };
  };
  const encodeItem = (value: unknown, depth: number): PropertyValue =>
    isErrorLike(value) ? number(value, depth) : { plain: plain(value) };
  const encodeProperty = (value: unknown, depth: number): PropertyValue =>
    holdsErrors(value)
      ? { errors: Array.from(value, (item) => encodeItem(item, depth)) }
      : encodeItem(value, depth);
  number(thrown, 0);
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [node, error, depth] = next;
    for (const key of Object.getOwnPropertyNames(error)) {
      if (key === "stack") continue;
      const value = readProperty(error, key);
      // A message that is no string arrives as it is.
      if (key === "message" && typeof value === "string") continue;
      const { enumerable } = Object.getOwnPropertyDescriptor(error, key)!;
      node.props.push([key, enumerable === true, encodeProperty(value, depth + 1)]);
    }
  }
  return { nodes };
}

function describe(error: Error, below: string | undefined): ErrorNode {
  const classes = classesOf(error);
  const stack = readProperty(error, "stack");
  return {
    classes,
    name: text(readProperty(error, "name"), classes[0] ?? "Error"),
    message: text(readProperty(error, "message"), ""),
    stack: typeof stack === "string" ? cut(stack, below) : undefined,
    props: [],
  };
}

function classesOf(error: Error): string[] {
  try {
    return errorClassNames(error);
  } catch {
    return ["Error"];
  }
}

function holdsErrors(value: unknown): value is unknown[] {
  // Anything can happen in a Proxy's traps.
  return Array.isArray(value) && !types.isProxy(value) && value.some(isErrorLike);
}

function cut(stack: string, below: string | undefined): string {
  if (below === undefined) return stack;
  const lines = stack.split("\n");
  const end = lines.findIndex((line) => line.startsWith("    at ") && line.includes(below));
  return end === -1 ? stack : lines.slice(0, end).join("\n");
}

function isErrorLike(value: unknown): value is Error {
  return types.isNativeError(value) || (!types.isProxy(value) && value instanceof DOMException);
}

/**
 * The error again, on this side.
 *
 * @param callerStack where the call was made, if that is known; both stacks show in `stack`
 */
export function decodeError(encoded: EncodedError, callerStack?: string): unknown {
  if (encoded.nodes.length === 0) return encoded.thrown;
  const errors = encoded.nodes.map(shell);
  encoded.nodes.forEach((node, i) => fill(errors[i]!, node, errors));
  const error = errors[0]!;
  if (callerStack !== undefined && typeof error.stack === "string") {
    const frames = callerStack.slice(callerStack.indexOf("\n") + 1);
    setHidden(error, "stack", `${error.stack}\n    --- called from ---\n${frames}`);
  }
  return error;
}

function shell(node: ErrorNode): Error {
  if (node.classes.includes("DOMException")) return new DOMException(node.message, node.name);
  // A real error, so that util.types.isNativeError and inspect see one; then of its class.
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = new Error(node.message);
  Error.stackTraceLimit = limit;
  Object.setPrototypeOf(error, knownErrorPrototype(node.classes));
  return error;
}

function fill(error: Error, node: ErrorNode, errors: readonly Error[]): void {
  const decodeProperty = (value: PropertyValue): unknown => {
    if ("error" in value) return errors[value.error];
    if ("errors" in value) return value.errors.map(decodeProperty);
    return value.plain;
  };
  if (node.stack !== undefined) setHidden(error, "stack", node.stack);
  for (const [key, enumerable, value] of node.props) {
    const done = Reflect.defineProperty(error, key, {
      value: decodeProperty(value),
      enumerable,
      writable: true,
      configurable: true,
    });
    // An own property that cannot be set here (a DOMException's) has its value already.
    if (!done) continue;
  }
  // Of a class that is not known here: at least its name. One that is no string has arrived as a property.
  const name = readProperty(error, "name");
  if (typeof name === "string" && name !== node.name) setHidden(error, "name", node.name);
}

function setHidden(error: Error, key: string, value: unknown): void {
  Reflect.defineProperty(error, key, { value, writable: true, configurable: true, enumerable: false });
}
