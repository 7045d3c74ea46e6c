import * as fc from "fast-check";

const keys = fc.oneof(
  { weight: 8, arbitrary: fc.string({ maxLength: 6, unit: "binary" }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("__proto__", "constructor", "toString", "$taskloom", "value", "0", "\0"),
  },
);

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.constantFrom("", "\0", "\uD800", "a\uDC00b", "\u2028", "$taskloom", "grüße 😀"),
);

const bytes = fc.uint8Array({ maxLength: 24 });
const aligned = bytes.map((array) => array.slice(0, array.length - (array.length % 8)).slice().buffer);

const leaf = fc.oneof(
  text,
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.bigInt(),
  fc.constantFrom(
    null,
    undefined,
    -0,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -1e21,
    5e-324,
    10n ** 3000n,
    -(16n ** 2000n),
  ),
  fc.date({ noInvalidDate: false }),
  fc.constantFrom(/a\/b/gu, new RegExp(""), /[\]]/v),
  fc.webUrl().map((url) => new URL(url)),
  bytes,
  bytes.map((array) => Buffer.from(array)),
  bytes.map((array) => array.slice().buffer),
  fc
    .tuple(
      aligned,
      fc.constantFrom(
        Int8Array,
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
      ),
    )
    .map(([buffer, View]) => new (View as new (memory: ArrayBuffer) => ArrayBufferView)(buffer)),
);

/** An object that may stand in any of several places, also within itself. */
type Container = unknown[] | Record<string, unknown> | Map<unknown, unknown> | Set<unknown> | Error;

const container = fc.oneof(
  fc.constant((): Container => []),
  fc.constant((): Container => ({})),
  fc.constant((): Container => new Map()),
  fc.constant((): Container => new Set()),
  fc.tuple(text, fc.constantFrom(Error, TypeError, RangeError)).map(
    ([message, Class]) =>
      (): Container =>
        new Class(message),
  ),
);

/**
 * Graphs of containers: each link puts a leaf or one of the containers, whichever, into one of them. Trees, shared
 * references and cycles through every kind come out. No Map or Set has a container as a key more than once, and the
 * root is the first container.
 */
export const sendable: fc.Arbitrary<unknown> = fc
  .tuple(
    fc.array(container, { minLength: 1, maxLength: 6 }),
    fc.array(fc.tuple(fc.nat(), fc.option(fc.nat(), { freq: 2, nil: undefined }), leaf, keys, leaf), {
      maxLength: 16,
    }),
  )
  .map(([makers, links]) => {
    const made = makers.map((make) => make());
    for (const [into, from, plain, key, mapKey] of links) {
      const target = made[into % made.length];
      const value = from === undefined ? plain : made[from % made.length];
      if (Array.isArray(target)) {
        if (key === "0") target.length += 1;
        target.push(value);
      } else if (target instanceof Map) target.set(mapKey, value);
      else if (target instanceof Set) target.add(value);
      else if (target instanceof Error) {
        if (key === "value") target.cause = value;
        else if (/^[a-z$]+$/i.test(key) && key !== "constructor")
          (target as unknown as Record<string, unknown>)[`x${key}`] = value;
      } else if (target !== undefined) {
        Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
      }
    }
    return made[0];
  });

/** JSON of any shape, also such as looks like an encoding and is none. */
export const hostile: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  node: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    fc.oneof(text, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null)),
    fc.array(tie("node"), { maxLength: 4 }),
    fc.dictionary(keys, tie("node"), { maxKeys: 4 }),
    fc
      .tuple(
        fc.oneof(
          fc.constantFrom(
            "undefined",
            "hole",
            "number",
            "bigint",
            "date",
            "url",
            "string",
            "regexp",
            "map",
            "object",
            "set",
            "buffer",
            "ArrayBuffer",
            "DataView",
            "Float64Array",
            "error",
            "thrown",
            "text",
            "ref",
            "cancelled",
            "constructor",
            "__proto__",
          ),
          tie("node"),
        ),
        fc.oneof(tie("node"), fc.array(fc.tuple(tie("node"), tie("node")))),
        fc.dictionary(
          fc.constantFrom(
            "class",
            "name",
            "message",
            "stack",
            "properties",
            "hidden",
            "path",
            "source",
            "flags",
          ),
          tie("node"),
        ),
      )
      .map(([$taskloom, value, more]) => Object.assign(more, { $taskloom, value })),
  ),
})).node;
