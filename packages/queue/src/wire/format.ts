/**
 * The key that marks an encoded value. Values cross between processes as JSON that a person can still read in a
 * dashboard: JSON values stay as they are, and any other value is an object whose key `$taskloom` names its kind:
 *
 * | kind | other keys |
 * | --- | --- |
 * | `undefined`, `hole` (in arrays) | |
 * | `number` (NaN, -0, infinities), `bigint`, `date`, `url` | `value`: text |
 * | `string` (with U+0000 or lone surrogates, which PostgreSQL's jsonb refuses) | `value`: UTF-16 in base64 |
 * | `regexp` | `source`, `flags` |
 * | `map`, `object` (with `$taskloom` among its keys) | `value`: pairs |
 * | `set` | `value`: items |
 * | `buffer`, `ArrayBuffer`, `DataView`, `Uint8Array` and other typed arrays | `value`: bytes in base64, little-endian |
 * | `error` | `class`: names, the most derived first; `name`, `message`, `stack`, `properties`, `hidden` |
 * | `thrown` (a value that is not an error, where an error is expected) | `value` |
 * | `text` (in an error: the printed form of a value that cannot be sent) | `value` |
 * | `ref` (a value that occurs earlier, or contains this place) | `path` of keys from the root of the encoding |
 *
 * A reference has a path and not a running number, since PostgreSQL's jsonb does not keep the order of keys.
 */
export const TAG = "$taskloom";

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** The limits on the size of a value. */
export interface WireLimits {
  /** Bytes of text and numbers, counted while encoding; default 4 MiB. */
  size: number;
  /** Levels of objects within objects; default 500. */
  depth: number;
}

export const DEFAULT_LIMITS: WireLimits = { size: 4 * 1024 * 1024, depth: 500 };

/** The classes of binary data by their names. */
export const BINARY_CLASSES: ReadonlyMap<string, BinaryClass> = new Map<string, BinaryClass>(
  [
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    BigUint64Array,
    DataView,
    // Float16Array exists since Node.js 24.
    ...("Float16Array" in globalThis ? [globalThis.Float16Array] : []),
  ].map((each) => [each.name, each]),
);
type BinaryClass = new (buffer: ArrayBuffer) => ArrayBufferView;
