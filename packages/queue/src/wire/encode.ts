import { inspect, types } from "node:util";
import { errorClassNames } from "@taskloom/loop";
import { DEFAULT_LIMITS, TAG } from "./format.ts";
import type { Json, JsonObject, WireLimits } from "./format.ts";
import { valueOr } from "../value-or.ts";
import { isPlainText, storableText } from "./plain-text.ts";
import { WireError } from "./wire-error.ts";

export interface EncodeOptions extends Partial<WireLimits> {
  /** The name of the value in error messages. Default `value`. */
  name?: string;
}

/**
 * Encodes a value as JSON that a person can still read. Dates, maps, sets, bigints, binary data, regular
 * expressions, URLs, errors, `undefined`, every number, cycles and shared references survive.
 *
 * As with `structuredClone`, getters are read, symbol keys are left out, and binary data that shares memory is copied
 * separately.
 *
 * @throws {@link WireError} with the code `UNSENDABLE` and the path of the value for functions, symbols, promises and
 *   instances of classes; with the code `TOO_LARGE` beyond the limits.
 */
export function encodeValue(value: unknown, options: EncodeOptions = {}): Json {
  return new Encoder(options, false).encode(value, undefined, 0);
}

/** The largest encoding of an error, in bytes. A job's record always has room for that much. */
const MAX_ERROR_SIZE = 256 * 1024;

/**
 * Encodes a thrown value: an error with its classes, message, stack, cause and own properties, or any other value.
 * Never throws: a part that cannot be sent is replaced by its printed form, and an error that is too large is cut.
 */
export function encodeError(thrown: unknown): Json {
  try {
    const encoder = new Encoder({ size: MAX_ERROR_SIZE }, true);
    if (isError(thrown)) return encoder.encode(thrown, undefined, 0);
    return {
      [TAG]: "thrown",
      value: encoder.encode(thrown, { parent: undefined, key: "", within: "thrown" }, 0),
    };
  } catch {
    // The error is too large or too deep, or a getter of it throws.
    return bareError(thrown);
  }
}

function bareError(thrown: unknown): JsonObject {
  if (!isError(thrown)) return { [TAG]: "thrown", value: safeText(print(thrown)) };
  // Each property can be a getter that throws.
  const read = (key: "name" | "message" | "stack"): string =>
    safeText(valueOr(() => textOf(thrown[key]), ""));
  return {
    [TAG]: "error",
    class: valueOr(() => errorClassNames(thrown), ["Error"]).map(safeText),
    name: read("name"),
    message: read("message"),
    stack: read("stack"),
    properties: {},
    hidden: {},
  };
}

/** The longest text of an error that is stored whole, in characters. */
const MAX_TEXT = 32 * 1024;

function safeText(text: string): string {
  const cut = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}… (cut)` : text;
  return storableText(cut);
}

function print(value: unknown): string {
  try {
    return inspect(value, { depth: 1, maxStringLength: 1000, maxArrayLength: 20 });
  } catch {
    return Object.prototype.toString.call(value);
  }
}

/**
 * The place of a container: in the encoding, for references, and in the value, for error messages. Positions form a
 * chain and not a list, so that each container costs one small object.
 */
interface Position {
  parent: Position | undefined;
  key: string | number;
  /** The kind of the parent. Undefined for a plain object or an array. */
  within?: "map key" | "map value" | "set" | "pairs" | "properties" | "hidden" | "thrown";
}

class Encoder {
  #limits: WireLimits;
  #name: string;
  #left: number;
  /** True within errors: a value that cannot be sent is replaced by its printed form. */
  #lenient: boolean;
  /** The position of every object so far. Made at the first object, since most values have none. */
  #seen: Map<object, Position | undefined> | undefined;

  constructor({ size, depth, name }: EncodeOptions, lenient: boolean) {
    this.#limits = { size: size ?? DEFAULT_LIMITS.size, depth: depth ?? DEFAULT_LIMITS.depth };
    this.#name = name ?? "value";
    this.#left = this.#limits.size;
    this.#lenient = lenient;
  }

  encode(value: unknown, position: Position | undefined, depth: number): Json {
    switch (typeof value) {
      case "string":
        return this.#string(value, position);
      case "number":
        this.#take(8, position);
        if (Number.isFinite(value) && !Object.is(value, -0)) return value;
        return { [TAG]: "number", value: Object.is(value, -0) ? "-0" : String(value) };
      case "boolean":
        this.#take(4, position);
        return value;
      case "undefined":
        this.#take(4, position);
        return { [TAG]: "undefined" };
      case "bigint":
        return this.#bigint(value, position);
      case "object":
        this.#take(2, position);
        return value === null ? null : this.#object(value, position, depth);
      default:
        return this.#unsendable(
          value,
          position,
          `is a ${typeof value}`,
          "Send the data that it is made from",
        );
    }
  }

  #object(value: object, position: Position | undefined, depth: number): Json {
    this.#seen ??= new Map();
    if (this.#seen.has(value)) return { [TAG]: "ref", path: steps(this.#seen.get(value)) };
    if (depth >= this.#limits.depth) {
      throw new WireError(
        "TOO_LARGE",
        this.#path(position),
        `Cannot send ${this.#path(position)}, which is more than ${this.#limits.depth} objects deep. Send a flatter value, such as a list whose items refer to each other by index`,
      );
    }
    this.#seen.set(value, position);
    if (Array.isArray(value)) return this.#array(value, position, depth);
    if (isPlain(value)) return this.#plain(value, position, depth);
    return this.#special(value, position, depth);
  }

  #array(value: readonly unknown[], position: Position | undefined, depth: number): Json[] {
    const encoded: Json[] = [];
    for (let key = 0; key < value.length; key += 1) {
      if (value[key] === undefined && !Object.hasOwn(value, key)) {
        this.#take(16, position);
        encoded.push({ [TAG]: "hole" });
      } else {
        encoded.push(this.#child(value[key], position, key, undefined, depth));
      }
    }
    return encoded;
  }

  #plain(fields: PlainObject, position: Position | undefined, depth: number): JsonObject {
    const keys = Object.keys(fields);
    if (keys.some((key) => key === TAG || key === "__proto__" || !isPlainText(key))) {
      const pairs = keys.map((key, index) => [
        this.#string(key, position),
        this.#child(fields[key], position, index, "pairs", depth),
      ]);
      return { [TAG]: "object", value: pairs };
    }
    const encoded: JsonObject = {};
    for (const key of keys) {
      this.#take(key.length, position);
      encoded[key] = this.#child(fields[key], position, key, undefined, depth);
    }
    return encoded;
  }

  #special(value: object, position: Position | undefined, depth: number): Json {
    if (isError(value)) return this.#error(value, position, depth);
    if (types.isDate(value)) {
      this.#take(24, position);
      return { [TAG]: "date", value: Number.isNaN(value.getTime()) ? "" : value.toISOString() };
    }
    if (types.isMap(value)) {
      let index = -1;
      const pairs = Array.from(value, ([key, item]: [unknown, unknown]) => {
        index += 1;
        return [
          this.#child(key, position, index, "map key", depth),
          this.#child(item, position, index, "map value", depth),
        ];
      });
      return { [TAG]: "map", value: pairs };
    }
    if (types.isSet(value)) {
      let index = -1;
      const items = Array.from(value, (item: unknown) => {
        index += 1;
        return this.#child(item, position, index, "set", depth);
      });
      return { [TAG]: "set", value: items };
    }
    if (types.isRegExp(value)) {
      return { [TAG]: "regexp", source: this.#string(value.source, position), flags: value.flags };
    }
    if (value instanceof URL) return { [TAG]: "url", value: this.#string(value.href, position) };
    if (ArrayBuffer.isView(value)) {
      const { buffer, byteOffset, byteLength } = value;
      const kind = Buffer.isBuffer(value) ? "buffer" : Object.prototype.toString.call(value).slice(8, -1);
      return this.#bytes(kind, Buffer.from(buffer, byteOffset, byteLength), position);
    }
    if (types.isArrayBuffer(value)) return this.#bytes("ArrayBuffer", Buffer.from(value), position);
    if (types.isPromise(value))
      return this.#unsendable(value, position, "is a promise", "Await the promise first");
    const className: unknown = Reflect.get(Object(value.constructor), "name");
    return this.#unsendable(
      value,
      position,
      typeof className === "string" && className !== "" && className !== "Object"
        ? `is an instance of ${className}`
        : "is not a plain object",
      "Its class would be lost: send a plain object ({ ...it }), and construct the instance on the worker",
    );
  }

  #error(error: Error, position: Position | undefined, depth: number): JsonObject {
    const properties: JsonObject = {};
    const hidden: JsonObject = {};
    for (const key of Object.getOwnPropertyNames(error)) {
      if (key === "message" || key === "stack" || key === "__proto__" || !isPlainText(key)) continue;
      const isEnumerable = Object.prototype.propertyIsEnumerable.call(error, key);
      const within = isEnumerable ? "properties" : "hidden";
      this.#take(key.length, position);
      const wasLenient = this.#lenient;
      this.#lenient = true;
      const encoded = this.#child(Reflect.get(error, key), position, key, within, depth);
      this.#lenient = wasLenient;
      (isEnumerable ? properties : hidden)[key] = encoded;
    }
    return {
      [TAG]: "error",
      class: errorClassNames(error).map(safeText),
      name: this.#string(textOf(error.name), position),
      message: this.#string(textOf(error.message), position),
      stack: this.#string(textOf(error.stack), position),
      properties,
      hidden,
    };
  }

  #child(
    value: unknown,
    parent: Position | undefined,
    key: string | number,
    within: Position["within"],
    depth: number,
  ): Json {
    // The common leaves fail only by their size; then the position of their parent is enough.
    if (typeof value === "number" || typeof value === "boolean" || value === null) {
      return this.encode(value, parent, depth);
    }
    return this.encode(value, within === undefined ? { parent, key } : { parent, key, within }, depth + 1);
  }

  #string(value: string, position: Position | undefined): Json {
    this.#take(value.length, position);
    if (isPlainText(value)) return value;
    return { [TAG]: "string", value: Buffer.from(value, "utf16le").toString("base64") };
  }

  #bigint(value: bigint, position: Position | undefined): JsonObject {
    // A conversion to or from decimal digits takes time quadratic in their number.
    const hexadecimal = value.toString(16);
    this.#take(hexadecimal.length, position);
    return {
      [TAG]: "bigint",
      value: hexadecimal.length > 1000 ? `0x${hexadecimal}`.replace("0x-", "-0x") : String(value),
    };
  }

  #bytes(kind: string, bytes: Buffer, position: Position | undefined): JsonObject {
    this.#take(Math.ceil(bytes.length / 3) * 4, position);
    return { [TAG]: kind, value: bytes.toString("base64") };
  }

  #unsendable(value: unknown, position: Position | undefined, fault: string, advice: string): Json {
    if (this.#lenient) return { [TAG]: "text", value: safeText(print(value)) };
    const path = this.#path(position);
    throw new WireError(
      "UNSENDABLE",
      path,
      `Cannot send ${path}, which ${fault}, to another process. ${advice}`,
    );
  }

  #take(bytes: number, position: Position | undefined): void {
    this.#left -= bytes;
    if (this.#left >= 0) return;
    throw new WireError(
      "TOO_LARGE",
      this.#path(position),
      `Cannot send ${this.#name}, which is larger than ${this.#limits.size} bytes (reached at ${this.#path(position)}). Keep large data in a file, a store or a database, and send its name`,
    );
  }

  #path(position: Position | undefined): string {
    if (position === undefined) return this.#name;
    const { parent, key, within } = position;
    const before = this.#path(parent);
    if (within === "thrown") return before;
    if (within === "pairs") return `${before}[property ${key}]`;
    if (within === "map key" || within === "map value") return `${before}[${within} ${key}]`;
    if (within === "set") return `${before}[item ${key}]`;
    if (typeof key === "number") return `${before}[${key}]`;
    return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key)
      ? `${before}.${key}`
      : `${before}[${JSON.stringify(key)}]`;
  }
}

/** Returns the path of a position through the encoding. */
function steps(position: Position | undefined): (string | number)[] {
  const path: (string | number)[] = [];
  for (let at = position; at !== undefined; at = at.parent) {
    const { key, within } = at;
    if (within === "map key") path.push(0, key, "value");
    else if (within === "map value" || within === "pairs") path.push(1, key, "value");
    else if (within === "set") path.push(key, "value");
    else if (within === "thrown") path.push("value");
    else if (within === undefined) path.push(key);
    else path.push(key, within);
  }
  return path.toReversed();
}

/** Returns the text of an error's name, message or stack. Whatever their types say, they can hold any value. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value : value === undefined ? "" : print(value);
}

type PlainObject = Readonly<Record<string, unknown>>;

function isPlain(value: object): value is PlainObject {
  const prototype: object | null = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return true;
  // A plain object of another realm has that realm's Object.prototype.
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, "isPrototypeOf");
}

function isError(value: unknown): value is Error {
  return types.isNativeError(value) || (!types.isProxy(value) && value instanceof DOMException);
}
