import { knownErrorPrototype, registerErrorClasses } from "@taskloom/loop";
import * as errors from "../errors.ts";
import { binaryClasses, tag } from "./format.ts";
import { WireError } from "./wire-error.ts";

registerErrorClasses({ ...errors, WireError });

/** Steps of recursion: references can lead a little deeper than the encoding itself is. */
const maxDepth = 1500;

/**
 * Decodes what {@link encodeValue} made. Safe for whatever comes: nothing is evaluated, no prototype is touched, and
 * what is no encoding is a {@link WireError} with the code `MALFORMED`.
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
 * Decodes what {@link encodeError} made. `callerStack`, where the call was made, is added to the error's stack.
 * Never throws: what cannot be read becomes an error that says so.
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

/** Thrown at the first reference: only then is it worth while to remember every object. */
const needsMemory = new Error("A reference needs the decoder to remember.");

type Fields = Record<string, unknown>;

class Decoder {
  #root: unknown;
  #memory: Map<object, object> | undefined;

  constructor(root: unknown, memory: Map<object, object> | undefined) {
    this.#root = root;
    this.#memory = memory;
  }

  decode(encoded: unknown, depth: number): unknown {
    if (typeof encoded !== "object" || encoded === null) return encoded;
    const known = this.#memory?.get(encoded);
    if (known !== undefined) return known;
    if (depth > maxDepth) throw malformed("it is nested too deeply");
    if (Array.isArray(encoded)) return this.#array(encoded, depth);
    if (!Object.hasOwn(encoded, tag)) return this.#plain(encoded, depth);
    const fields = encoded as Fields;
    const kind = fields[tag];
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
        return this.#remember(encoded, decodeLeaf(kind, fields));
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

  #plain(encoded: object, depth: number): object {
    const decoded: Fields = this.#remember(encoded, {});
    for (const key of Object.keys(encoded)) {
      set(decoded, key, this.decode((encoded as Fields)[key], depth + 1));
    }
    return decoded;
  }

  #pairs(fields: Fields, depth: number): object {
    const decoded: Fields = this.#remember(fields, {});
    for (const [key, value] of pairs(fields)) {
      const name = this.decode(key, depth + 1);
      if (typeof name !== "string") throw malformed("a key is not text");
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
    // Of a class that is not known here: at least its name.
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
      const leadsOn =
        typeof target === "object" &&
        target !== null &&
        (typeof step === "string" || typeof step === "number") &&
        Object.hasOwn(target, step);
      if (!leadsOn) throw malformed("a reference leads nowhere");
      target = (target as Fields)[step];
    }
    if (typeof target !== "object" || target === null || (target as Fields)[tag] === "ref") {
      throw malformed("a reference leads to no object");
    }
    return this.decode(target, depth + 1);
  }

  /** Before its content is decoded: that may refer to it. */
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
    const binaryClass = typeof kind === "string" ? binaryClasses.get(kind) : undefined;
    if (binaryClass !== undefined) return new binaryClass(decodeBytes(text(fields, "value")));
  } catch (error) {
    if (error instanceof WireError) throw error;
    throw malformed((error as Error).message, error);
  }
  throw malformed(
    `it holds a value of the unknown kind ${JSON.stringify(kind)?.slice(0, 100)}. It may be of a newer version of Taskloom`,
  );
}

function decodeBytes(base64: string): ArrayBuffer {
  // Copied out of Buffer's pool: memory of its own, aligned.
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
      throw malformed("it holds a number that is none");
  }
}

function decodeBigint(value: string): bigint {
  const match = /^(-?)(\d{1,2000}|0x[\da-f]+)$/.exec(value);
  if (match === null) throw malformed("it holds a bigint that is none");
  const [, sign, digits = "0"] = match;
  try {
    return sign === "-" ? -BigInt(digits) : BigInt(digits);
  } catch (error) {
    throw malformed("it holds a bigint that is too large", error);
  }
}

function newError(message: string): Error {
  // Its stack is replaced: none need be taken.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const error = new Error(message);
  Error.stackTraceLimit = stackTraceLimit;
  return error;
}

function isHole(item: unknown): boolean {
  return (
    typeof item === "object" && item !== null && Object.hasOwn(item, tag) && (item as Fields)[tag] === "hole"
  );
}

function set(object: Fields, key: string, value: unknown): void {
  // Assigning to this one would change the prototype.
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
  if (typeof value !== "string") throw malformed(`a ${JSON.stringify(fields[tag])} has no text as ${key}`);
  return value;
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed("a list is missing");
  return value;
}

function pairs(fields: Fields): [unknown, unknown][] {
  return list(fields["value"]).map((pair) => {
    if (!Array.isArray(pair) || pair.length !== 2) throw malformed("a pair is missing");
    return pair as [unknown, unknown];
  });
}

function record(fields: Fields, key: string): Fields {
  const value = fields[key];
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw malformed(`an error has no ${key}`);
  return value as Fields;
}

function malformed(why: string, cause?: unknown): WireError {
  return new WireError("MALFORMED", "", `A value from another process cannot be read: ${why}.`, { cause });
}
