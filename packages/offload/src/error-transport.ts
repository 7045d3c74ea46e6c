/**
 * Errors across a thread boundary, whole.
 *
 * Structured clone keeps an error's message, stack and cause and makes every class one of seven. Here an
 * error travels as a record of what it is: the names of its classes, its own properties, and whatever errors
 * hang off it (`cause`, `errors`, any property), cycles included.
 */
import { inspect, types } from "node:util";
import { errorClassNames, knownErrorPrototype, registerErrorClasses } from "@taskloom/loop";
import * as own from "./errors.ts";

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

/** What can be posted of a property's value: itself, or else how it prints. */
function plain(value: unknown): unknown {
  if (typeof value === "function" || typeof value === "symbol") return inspect(value);
  if (typeof value !== "object" || value === null) return value;
  try {
    return structuredClone(value);
  } catch {
    return inspect(value);
  }
}

/**
 * @param below a file; frames of it, and those below, are of no use to a reader
 */
export function encodeError(thrown: unknown, below?: string): EncodedError {
  if (!isErrorLike(thrown)) return { nodes: [], thrown: plain(thrown) };
  const nodes: ErrorNode[] = [];
  const numbers = new Map<object, number>();
  const encode = (error: Error): number => {
    const before = numbers.get(error);
    if (before !== undefined) return before;
    const number = nodes.length;
    numbers.set(error, number);
    const node: ErrorNode = {
      classes: errorClassNames(error),
      name: error.name,
      message: error.message,
      stack: typeof error.stack === "string" ? cut(error.stack, below) : undefined,
      props: [],
    };
    nodes.push(node);
    for (const key of Object.getOwnPropertyNames(error)) {
      if (key === "message" || key === "stack") continue;
      const property = Object.getOwnPropertyDescriptor(error, key)!;
      node.props.push([key, property.enumerable === true, encodeProperty(error[key as keyof Error])]);
    }
    return number;
  };
  const encodeProperty = (value: unknown): PropertyValue => {
    if (isErrorLike(value)) return { error: encode(value) };
    if (Array.isArray(value) && value.some(isErrorLike)) return { errors: value.map(encodeProperty) };
    return { plain: plain(value) };
  };
  encode(thrown);
  return { nodes };
}

function cut(stack: string, below: string | undefined): string {
  if (below === undefined) return stack;
  const lines = stack.split("\n");
  const end = lines.findIndex((line) => line.startsWith("    at ") && line.includes(below));
  return end === -1 ? stack : lines.slice(0, end).join("\n");
}

function isErrorLike(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof DOMException;
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
  // Of a class that is not known here: at least its name.
  if (error.name !== node.name) setHidden(error, "name", node.name);
}

function setHidden(error: Error, key: string, value: unknown): void {
  Reflect.defineProperty(error, key, { value, writable: true, configurable: true, enumerable: false });
}
