import { inspect, types } from "node:util";
import { errorClassNames } from "@taskloom/loop";
import { defaultLimits, tag } from "./format.ts";
import type { Json, JsonObject, WireLimits } from "./format.ts";
import { attempt } from "../attempt.ts";
import { isPlainText, storableText } from "./plain-text.ts";
import { WireError } from "./wire-error.ts";

export interface EncodeOptions extends Partial<WireLimits> {
  /** What the value is called in errors; default `value`. */
  name?: string;
}

/**
 * Encodes a value as JSON that a person can still read. Dates, maps, sets, bigints, binary data, regular
 * expressions, URLs, errors, `undefined`, every number, cycles and shared references survive.
 *
 * As with `structuredClone`, getters are read, symbols as keys are left out, and binary data that shares memory no
 * longer does.
 *
 * Throws a {@link WireError}: `UNSENDABLE`, with the path, for functions, symbols, promises and instances of classes;
 * `TOO_LARGE` beyond the limits.
 */
export function encodeValue(value: unknown, options: EncodeOptions = {}): Json {
  return new Encoder(options, false).encode(value, undefined, 0);
}

/** What an error may take of a job's record, in bytes: it has to be kept whatever it holds. */
const maxErrorSize = 256 * 1024;

/**
 * Encodes what was thrown: an error with its classes, message, stack, cause and own properties, or anything else.
 * Never throws: what cannot be sent is replaced by how it prints, and what is too large is cut.
 */
export function encodeError(thrown: unknown): Json {
  try {
    const encoder = new Encoder({ size: maxErrorSize }, true);
    if (isError(thrown)) return encoder.encode(thrown, undefined, 0);
    return {
      [tag]: "thrown",
      value: encoder.encode(thrown, { parent: undefined, key: "", within: "thrown" }, 0),
    };
  } catch {
    // Too large, too deep, or with a getter that throws.
    return bareError(thrown);
  }
}

function bareError(thrown: unknown): JsonObject {
  if (!isError(thrown)) return { [tag]: "thrown", value: safeText(print(thrown)) };
  // Any of these can be a getter that throws.
  const [name, message, stack] = (["name", "message", "stack"] as const).map((key) =>
    attempt(() => asText(thrown[key]), ""),
  ) as [string, string, string];
  return {
    [tag]: "error",
    class: attempt(() => errorClassNames(thrown), ["Error"]).map(safeText),
    name: safeText(name),
    message: safeText(message),
    stack: safeText(stack),
    properties: {},
    hidden: {},
  };
}

const maxText = 32 * 1024;

function safeText(text: string): string {
  const cut = text.length > maxText ? `${text.slice(0, maxText)}… (cut)` : text;
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
 * Where a container is: in the encoding, for references, and in the value, for messages. A chain and no list, so
 * that it costs one small object a container.
 */
interface Position {
  parent: Position | undefined;
  key: string | number;
  /** What it is in: an object or array if nothing is said. */
  within?: "map key" | "map value" | "set" | "pairs" | "properties" | "hidden" | "thrown";
}

class Encoder {
  #limits: WireLimits;
  #name: string;
  #left: number;
  /** In errors: what cannot be sent is replaced by how it prints. */
  #lenient: boolean;
  /** Every object that was seen; made at the first, for most values have none. */
  #seen: Map<object, Position | undefined> | undefined;

  constructor({ size, depth, name }: EncodeOptions, lenient: boolean) {
    this.#limits = { size: size ?? defaultLimits.size, depth: depth ?? defaultLimits.depth };
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
        return { [tag]: "number", value: Object.is(value, -0) ? "-0" : String(value) };
      case "boolean":
        this.#take(4, position);
        return value;
      case "undefined":
        this.#take(4, position);
        return { [tag]: "undefined" };
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
          "Send data that it can be made from.",
        );
    }
  }

  #object(value: object, position: Position | undefined, depth: number): Json {
    this.#seen ??= new Map();
    if (this.#seen.has(value)) return { [tag]: "ref", path: steps(this.#seen.get(value)) };
    if (depth >= this.#limits.depth) {
      throw new WireError(
        "TOO_LARGE",
        this.#path(position),
        `${this.#path(position)} is more than ${this.#limits.depth} objects deep. Send it flatter, as a list with links by number for instance.`,
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
        encoded.push({ [tag]: "hole" });
      } else {
        encoded.push(this.#child(value[key], position, key, undefined, depth));
      }
    }
    return encoded;
  }

  #plain(value: object, position: Position | undefined, depth: number): JsonObject {
    const keys = Object.keys(value);
    const fields = value as Record<string, unknown>;
    if (keys.some((key) => key === tag || key === "__proto__" || !isPlainText(key))) {
      const pairs = keys.map((key, index) => [
        this.#string(key, position),
        this.#child(fields[key], position, index, "pairs", depth),
      ]);
      return { [tag]: "object", value: pairs };
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
      return { [tag]: "date", value: Number.isNaN(value.getTime()) ? "" : value.toISOString() };
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
      return { [tag]: "map", value: pairs };
    }
    if (types.isSet(value)) {
      let index = -1;
      const items = Array.from(value, (item: unknown) => {
        index += 1;
        return this.#child(item, position, index, "set", depth);
      });
      return { [tag]: "set", value: items };
    }
    if (types.isRegExp(value)) {
      return { [tag]: "regexp", source: this.#string(value.source, position), flags: value.flags };
    }
    if (value instanceof URL) return { [tag]: "url", value: this.#string(value.href, position) };
    if (ArrayBuffer.isView(value)) {
      const { buffer, byteOffset, byteLength } = value;
      const kind = Buffer.isBuffer(value) ? "buffer" : Object.prototype.toString.call(value).slice(8, -1);
      return this.#bytes(kind, Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength), position);
    }
    if (types.isArrayBuffer(value)) return this.#bytes("ArrayBuffer", Buffer.from(value), position);
    if (types.isPromise(value)) return this.#unsendable(value, position, "is a promise", "Await it first.");
    const of = (value.constructor as { name?: unknown } | undefined)?.name;
    return this.#unsendable(
      value,
      position,
      typeof of === "string" && of !== "" && of !== "Object"
        ? `is an instance of ${of}`
        : "is not a plain object",
      "Its class would be lost: send a plain object ({ ...it }), and make it again where it is used.",
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
      const encoded = this.#child(
        (error as unknown as Record<string, unknown>)[key],
        position,
        key,
        within,
        depth,
      );
      this.#lenient = wasLenient;
      (isEnumerable ? properties : hidden)[key] = encoded;
    }
    return {
      [tag]: "error",
      class: errorClassNames(error).map(safeText),
      name: this.#string(asText(error.name), position),
      message: this.#string(asText(error.message), position),
      stack: this.#string(asText(error.stack), position),
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
    // The common leaves need no position unless they fail.
    if (typeof value === "number" || typeof value === "boolean" || value === null) {
      return this.encode(value, parent, depth);
    }
    return this.encode(value, within === undefined ? { parent, key } : { parent, key, within }, depth + 1);
  }

  #string(value: string, position: Position | undefined): Json {
    this.#take(value.length, position);
    if (isPlainText(value)) return value;
    return { [tag]: "string", value: Buffer.from(value, "utf16le").toString("base64") };
  }

  #bigint(value: bigint, position: Position | undefined): JsonObject {
    // To and from decimal digits takes time quadratic in their number.
    const hexadecimal = value.toString(16);
    this.#take(hexadecimal.length, position);
    return {
      [tag]: "bigint",
      value: hexadecimal.length > 1000 ? `0x${hexadecimal}`.replace("0x-", "-0x") : String(value),
    };
  }

  #bytes(kind: string, bytes: Buffer, position: Position | undefined): JsonObject {
    this.#take(Math.ceil(bytes.length / 3) * 4, position);
    return { [tag]: kind, value: bytes.toString("base64") };
  }

  #unsendable(value: unknown, position: Position | undefined, what: string, advice: string): Json {
    if (this.#lenient) return { [tag]: "text", value: safeText(print(value)) };
    const path = this.#path(position);
    throw new WireError(
      "UNSENDABLE",
      path,
      `${path} ${what}, which cannot be sent to another process. ${advice}`,
    );
  }

  #take(bytes: number, position: Position | undefined): void {
    this.#left -= bytes;
    if (this.#left >= 0) return;
    throw new WireError(
      "TOO_LARGE",
      this.#path(position),
      `${this.#name} is larger than ${this.#limits.size} bytes (reached at ${this.#path(position)}). Keep large data in a file, a store or a database and send its name.`,
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

/** A position's path through the encoding. */
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

/** What an error has as a name, message or stack can be anything, whatever its type says. */
function asText(value: unknown): string {
  return typeof value === "string" ? value : value === undefined ? "" : print(value);
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return true;
  // Of another realm: a prototype of nothing that is somebody's Object.prototype.
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, "isPrototypeOf");
}

function isError(value: unknown): value is Error {
  return types.isNativeError(value) || (!types.isProxy(value) && value instanceof DOMException);
}
