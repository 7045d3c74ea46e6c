import { knownErrorPrototype, registerErrorClasses } from "@taskloom/loop";
import * as errors from "../errors.ts";
import { messageOf } from "../message-of.ts";
import { BINARY_CLASSES, TAG } from "./format.ts";
import { WireError } from "./wire-error.ts";

registerErrorClasses({ ...errors, WireError });

/** The deepest recursion. References can lead a little deeper than an encoding itself may be. */
const MAX_DEPTH = 1500;

/**
 * Decodes a value that {@link encodeValue} encoded. Any input is safe: nothing is evaluated, and no prototype changes.
 *
 * @throws {@link WireError} with the code `MALFORMED` for anything that is not an encoding.
 */
export function decodeValue(encoded: unknown): unknown {
  try {
    return new Decoder(encoded, undefined).decode(encoded, 0);
  } catch (error) {
    if (error !== needsMemory) throw error;
    return new Decoder(encoded, new Map()).decode(encoded, 0);
  }
}

/**
 * Decodes an error that {@link encodeError} encoded. Never throws: an encoding that cannot be read becomes a
 * {@link WireError} that says so.
 *
 * @param callerStack the stack of the call, which is appended to the error's own.
 */
export function decodeError(encoded: unknown, callerStack?: string): unknown {
  let thrown: unknown;
  try {
    thrown = decodeValue(encoded);
  } catch (error) {
    thrown = error;
  }
  if (callerStack !== undefined && thrown instanceof Error && typeof thrown.stack === "string") {
    hide(thrown, "stack", `${thrown.stack}\n    --- called from ---\n${callerStack}`);
  }
  return thrown;
}

/** Thrown at the first reference. Most encodings have none, so objects are remembered only in a second pass. */
const needsMemory = new Error("A reference needs the decoder to remember each object");

type Fields = Record<string, unknown>;

function isContainer(value: unknown): value is Fields | unknown[] {
  return typeof value === "object" && value !== null;
}

function isFields(value: unknown): value is Fields {
  return isContainer(value) && !Array.isArray(value);
}

class Decoder {
  #root: unknown;
  #memory: Map<object, object> | undefined;

  constructor(root: unknown, memory: Map<object, object> | undefined) {
    this.#root = root;
    this.#memory = memory;
  }

  decode(encoded: unknown, depth: number): unknown {
    if (!isContainer(encoded)) return encoded;
    const known = this.#memory?.get(encoded);
    if (known !== undefined) return known;
    if (depth > MAX_DEPTH) throw malformed("it is nested too deeply");
    if (Array.isArray(encoded)) return this.#array(encoded, depth);
    if (!Object.hasOwn(encoded, TAG)) return this.#plain(encoded, depth);
    const fields = encoded;
    const kind = fields[TAG];
    switch (kind) {
      case "undefined":
        return undefined;
      case "number":
        return decodeNumber(fields["value"]);
      case "bigint":
        return decodeBigint(text(fields, "value"));
      case "string":
        return Buffer.from(text(fields, "value"), "base64").toString("utf16le");
      case "text":
        return text(fields, "value");
      case "thrown":
        return this.decode(fields["value"], depth + 1);
      case "ref":
        return this.#reference(fields, depth);
      case "object":
        return this.#pairs(fields, depth);
      case "map":
        return this.#map(fields, depth);
      case "set":
        return this.#set(fields, depth);
      case "error":
        return this.#error(fields, depth);
      default:
        return this.#remember(fields, decodeLeaf(kind, fields));
    }
  }

  #array(encoded: readonly unknown[], depth: number): unknown[] {
    const decoded: unknown[] = this.#remember(encoded, []);
    for (const item of encoded) {
      if (isHole(item)) decoded.length += 1;
      else decoded.push(this.decode(item, depth + 1));
    }
    return decoded;
  }

  #plain(encoded: Fields, depth: number): object {
    const decoded: Fields = this.#remember(encoded, {});
    for (const key of Object.keys(encoded)) {
      set(decoded, key, this.decode(encoded[key], depth + 1));
    }
    return decoded;
  }

  #pairs(fields: Fields, depth: number): object {
    const decoded: Fields = this.#remember(fields, {});
    for (const [key, value] of pairs(fields)) {
      const name = this.decode(key, depth + 1);
      if (typeof name !== "string") throw malformed("a key is not a string");
      set(decoded, name, this.decode(value, depth + 1));
    }
    return decoded;
  }

  #map(fields: Fields, depth: number): Map<unknown, unknown> {
    const decoded = this.#remember(fields, new Map<unknown, unknown>());
    for (const [key, value] of pairs(fields)) {
      decoded.set(this.decode(key, depth + 1), this.decode(value, depth + 1));
    }
    return decoded;
  }

  #set(fields: Fields, depth: number): Set<unknown> {
    const decoded = this.#remember(fields, new Set<unknown>());
    for (const item of list(fields["value"])) decoded.add(this.decode(item, depth + 1));
    return decoded;
  }

  #error(fields: Fields, depth: number): Error {
    const message = this.#text(fields["message"], depth);
    const name = this.#text(fields["name"], depth);
    const names = list(fields["class"]).filter((each) => typeof each === "string");
    const properties = record(fields, "properties");
    const hidden = record(fields, "hidden");
    if (names.includes("DOMException")) {
      return this.#remember(fields, new DOMException(message, name));
    }
    const error = this.#remember(fields, newError(message));
    Object.setPrototypeOf(error, knownErrorPrototype(names));
    hide(error, "stack", this.#text(fields["stack"], depth));
    for (const key of Object.keys(properties))
      define(error, key, this.decode(properties[key], depth + 1), true);
    for (const key of Object.keys(hidden)) define(error, key, this.decode(hidden[key], depth + 1), false);
    // An unknown class keeps at least its name.
    if (error.name !== name) hide(error, "name", name);
    return error;
  }

  #text(encoded: unknown, depth: number): string {
    const decoded = this.decode(encoded, depth + 1);
    if (typeof decoded !== "string") throw malformed("an error has no message, stack or name");
    return decoded;
  }

  #reference(fields: Fields, depth: number): unknown {
    if (this.#memory === undefined) throw needsMemory;
    let target: unknown = this.#root;
    for (const step of list(fields["path"])) {
      const isKey = typeof step === "string" || typeof step === "number";
      if (!isKey || !isContainer(target) || !Object.hasOwn(target, step))
        throw malformed("the path of a reference does not exist");
      target = Reflect.get(target, step);
    }
    if (!isContainer(target) || (isFields(target) && target[TAG] === "ref"))
      throw malformed("a reference does not lead to an object");
    return this.decode(target, depth + 1);
  }

  /** Called before the content of a container is decoded, since that content may refer to the container. */
  #remember<T extends object>(encoded: object, decoded: T): T {
    this.#memory?.set(encoded, decoded);
    return decoded;
  }
}

function decodeLeaf(kind: unknown, fields: Fields): object {
  try {
    switch (kind) {
      case "date":
        return new Date(text(fields, "value"));
      case "url":
        return new URL(text(fields, "value"));
      case "regexp":
        return new RegExp(text(fields, "source"), text(fields, "flags"));
      case "buffer":
        return Buffer.from(text(fields, "value"), "base64");
      case "ArrayBuffer":
        return decodeBytes(text(fields, "value"));
    }
    const binaryClass = typeof kind === "string" ? BINARY_CLASSES.get(kind) : undefined;
    if (binaryClass !== undefined) return new binaryClass(decodeBytes(text(fields, "value")));
  } catch (error) {
    if (error instanceof WireError) throw error;
    throw malformed(messageOf(error), error);
  }
  throw malformed(
    `it holds a value of the unknown kind ${JSON.stringify(kind)?.slice(0, 100)}, perhaps of a newer version of Taskloom`,
  );
}

function decodeBytes(base64: string): ArrayBuffer {
  // The copy has aligned memory of its own, and not a part of Buffer's pool.
  return new Uint8Array(Buffer.from(base64, "base64")).buffer;
}

function decodeNumber(value: unknown): number {
  switch (value) {
    case "NaN":
      return Number.NaN;
    case "-0":
      return -0;
    case "Infinity":
      return Number.POSITIVE_INFINITY;
    case "-Infinity":
      return Number.NEGATIVE_INFINITY;
    default:
      throw malformed("it holds an invalid number");
  }
}

function decodeBigint(value: string): bigint {
  const match = /^(-?)(\d{1,2000}|0x[\da-f]+)$/.exec(value);
  if (match === null) throw malformed("it holds an invalid bigint");
  const [, sign, digits = "0"] = match;
  try {
    return sign === "-" ? -BigInt(digits) : BigInt(digits);
  } catch (error) {
    throw malformed("it holds a bigint that is too large", error);
  }
}

function newError(message: string): Error {
  // The stack is replaced by the encoded one, so capturing one would be a waste.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const error = new Error(message);
  Error.stackTraceLimit = stackTraceLimit;
  return error;
}

function isHole(item: unknown): boolean {
  return isFields(item) && Object.hasOwn(item, TAG) && item[TAG] === "hole";
}

function set(object: Fields, key: string, value: unknown): void {
  // An assignment to this key would change the prototype.
  if (key === "__proto__") define(object, key, value, true);
  else object[key] = value;
}

function define(object: object, key: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(object, key, { value, enumerable, writable: true, configurable: true });
}

function hide(error: Error, key: string, value: unknown): void {
  define(error, key, value, false);
}

function text(fields: Fields, key: string): string {
  const value = fields[key];
  if (typeof value !== "string")
    throw malformed(`the \`${key}\` of a ${JSON.stringify(fields[TAG])} is not a string`);
  return value;
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed("a list is missing");
  return value;
}

function isPair(value: unknown): value is readonly [unknown, unknown] {
  return Array.isArray(value) && value.length === 2;
}

function pairs(fields: Fields): readonly (readonly [unknown, unknown])[] {
  const items = list(fields["value"]);
  if (!items.every(isPair)) throw malformed("a pair is missing");
  return items;
}

function record(fields: Fields, key: string): Fields {
  const value = fields[key];
  if (!isFields(value)) throw malformed(`an error has no ${key}`);
  return value;
}

function malformed(reason: string, cause?: unknown): WireError {
  return new WireError("MALFORMED", "", `Cannot read a value from another process: ${reason}`, { cause });
}
