/**
 * Whole errors across the boundary of a thread.
 *
 * Structured clone keeps an error's message, stack and cause, and turns every class into one of seven. Here an
 * error travels as a record: the names of its classes, its own properties, and the errors that it refers to
 * (`cause`, `errors`, any property). Cycles are kept.
 */
import { inspect, types } from "node:util";
import { errorClassNames, knownErrorPrototype, registerErrorClasses } from "@taskloom/loop";
import * as own from "../errors.ts";
import { asRecord } from "./as-record.ts";

interface ErrorNode {
  /** The names of the error's classes, the most derived one first. */
  classes: string[];
  name: string;
  message: string;
  stack: string | undefined;
  /** Own properties other than message and stack. */
  props: [key: string, isEnumerable: boolean, value: PropertyValue][];
}
type PropertyValue = { error: number } | { errors: PropertyValue[] } | { plain: unknown };

/** An error, or another value that was thrown, as it travels. */
export interface EncodedError {
  /** The error and the errors that it refers to, the error itself first. Empty if the thrown value is not an error. */
  nodes: ErrorNode[];
  thrown?: unknown;
}

registerErrorClasses(own);

/** The most errors that one error can refer to. A getter that makes a new error at each reading would have no end. */
const MAX_ERRORS = 100_000;
/** Deeper errors are left out, because readers of a chain of causes recurse, and their stack is limited. */
const MAX_DEPTH = 1000;

const UNREADABLE = "[could not be read]";

/** Returns the value of a property whose getter may throw. */
function readProperty(object: object, key: string): unknown {
  try {
    return asRecord(object)[key];
  } catch {
    return UNREADABLE;
  }
}

/** Returns the text of a value. A value can define its own text, and throw there. */
function show(value: unknown): string {
  try {
    return inspect(value);
  } catch {
    return UNREADABLE;
  }
}

/** Returns a value that can be posted: a clone where structured clone accepts the value, else its text. */
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

/** An error that is still to be encoded. The depth is the number of errors above it. */
type Waiting = [node: ErrorNode, error: Error, depth: number];

/**
 * Returns the record of a thrown value. This function never throws: a getter that throws, a name that is not a
 * string, and values that structured clone refuses are replaced by text.
 *
 * @param below a file; its frames and the frames below them are cut off, since they are of no use to a reader
 */
export function encodeError(thrown: unknown, below?: string): EncodedError {
  if (!isErrorLike(thrown)) return { nodes: [], thrown: plain(thrown) };
  const nodes: ErrorNode[] = [];
  const numbers = new Map<object, number>();
  // A list and no recursion, because a chain of causes can be longer than the stack is deep.
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
      // A message that is not a string travels as a property.
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
  // A Proxy is excluded, because its traps can run any code.
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
 * Returns the error of a record, made anew on this side.
 *
 * @param callerStack the stack of the place where the call was made, if it is known; `stack` then has both stacks
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
  // A native error that changes its class afterwards: util.types.isNativeError and inspect recognise it.
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
    // Properties that cannot be defined here (a DOMException's) have their value already.
    Reflect.defineProperty(error, key, {
      value: decodeProperty(value),
      enumerable,
      writable: true,
      configurable: true,
    });
  }
  // An error of an unknown class keeps its name. A name that is not a string has arrived as a property.
  const name = readProperty(error, "name");
  if (typeof name === "string" && name !== node.name) setHidden(error, "name", node.name);
}

function setHidden(error: Error, key: string, value: unknown): void {
  Reflect.defineProperty(error, key, { value, writable: true, configurable: true, enumerable: false });
}
