/**
 * The form in which values cross between processes: JSON that a person can still read in a dashboard.
 *
 * What JSON can say stays as it is. Everything else is an object with the key {@link tag}, which tells the kind:
 *
 * | kind | other keys |
 * | --- | --- |
 * | `undefined`, `hole` (in arrays) | |
 * | `number` (NaN, -0, infinities), `bigint`, `date`, `url` | `value`: text |
 * | `string` (with U+0000 or lone surrogates, which PostgreSQL's jsonb refuses) | `value`: UTF-16 in base64 |
 * | `regexp` | `source`, `flags` |
 * | `map`, `object` (with the tag among its keys) | `value`: pairs |
 * | `set` | `value`: items |
 * | `buffer`, `ArrayBuffer`, `DataView`, `Uint8Array` and its like | `value`: bytes in base64, little-endian |
 * | `error` | `class`: names, the most special first; `name`, `message`, `stack`, `properties`, `hidden` |
 * | `thrown` (what is no error, where an error is expected) | `value` |
 * | `text` (in an error: what cannot be sent, as it prints) | `value` |
 * | `ref` (a value that is there before, or around) | `path` of keys from the root of the encoding |
 *
 * References name a path and not a running number because PostgreSQL's jsonb does not keep the order of keys.
 */
export const tag = "$taskloom";

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** How large a value may be. */
export interface WireLimits {
  /** Bytes of text and numbers, counted while encoding; default 4 MiB. */
  size: number;
  /** Objects within objects; default 500. */
  depth: number;
}

export const defaultLimits: WireLimits = { size: 4 * 1024 * 1024, depth: 500 };

/** Kinds of binary data, by the names of their classes. */
export const binaryClasses: ReadonlyMap<string, BinaryClass> = new Map<string, BinaryClass>(
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
    // Node.js 24 and later.
    ...("Float16Array" in globalThis ? [globalThis.Float16Array as BinaryClass] : []),
  ].map((each) => [each.name, each]),
);
type BinaryClass = new (buffer: ArrayBuffer) => ArrayBufferView;
