import assert from "node:assert/strict";
import vm from "node:vm";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeError, decodeValue } from "../../src/wire/decode.ts";
import { encodeError, encodeValue } from "../../src/wire/encode.ts";
import { registerErrorClass } from "@taskloom/loop";
import type { Json } from "../../src/wire/format.ts";
import { WireError } from "../../src/wire/wire-error.ts";
import { hostile, sendable } from "./arbitrary.ts";

const overRedis = (json: Json): unknown => JSON.parse(JSON.stringify(json));

/** PostgreSQL's jsonb: keys ordered by length and then by bytes. */
function overPostgres(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(overPostgres);
  if (typeof json !== "object" || json === null) return json;
  const keys = Object.keys(json).toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1));
  return Object.fromEntries(keys.map((key) => [key, overPostgres((json as Record<string, unknown>)[key])]));
}

describe("values survive", () => {
  test("any, with shared references and cycles, in whatever order a store returns the keys", () => {
    fc.assert(
      fc.property(sendable, (value) => {
        const encoded = encodeValue(value);
        assert.deepStrictEqual(decodeValue(overRedis(encoded)), value);
        const reordered = overPostgres(overRedis(encoded));
        expect(JSON.stringify(reordered)).not.toMatch(/\\u0000|\\ud[89a-f]/i);
        assert.deepStrictEqual(decodeValue(reordered), value);
      }),
      { numRuns: 2000 },
    );
  });

  test("what is JSON stays as it is", () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: "grapheme" }), (value) => {
        const json: unknown = JSON.parse(JSON.stringify(value));
        fc.pre(!/"(__proto__|\$taskloom)":/.test(JSON.stringify(json)));
        assert.deepStrictEqual(encodeValue(json), json);
        assert.deepStrictEqual(decodeValue(json), json);
      }),
    );
  });

  test("the same object is the same object again, wherever it stands", () => {
    const shared = { at: new Date(5) };
    const value: {
      list: unknown[];
      map: Map<unknown, unknown>;
      set: Set<unknown>;
      error: Error;
      self?: unknown;
    } = {
      list: [shared, shared],
      map: new Map([[shared, shared]]),
      set: new Set([shared]),
      error: Object.assign(new Error("x", { cause: shared }), { shared }),
    };
    value.self = value;
    const decoded = decodeValue(overRedis(encodeValue(value))) as typeof value;
    const [first] = decoded.list;
    assert.deepStrictEqual(first, shared);
    expect([...decoded.list, ...decoded.map.keys(), ...decoded.map.values(), ...decoded.set]).toSatisfy(
      (all: unknown[]) => all.every((each) => each === first),
    );
    expect(decoded.error.cause).toBe(first);
    expect((decoded.error as unknown as { shared: unknown }).shared).toBe(first);
    expect(decoded.self).toBe(decoded);
  });

  test("kinds stay themselves", () => {
    const withHole: unknown[] = [undefined];
    withHole[2] = 1;
    const value = [
      Buffer.from("ab"),
      new Uint8Array([1]),
      new Date(Number.NaN),
      -0,
      withHole,
      Object.create(null),
    ];
    const decoded = decodeValue(overRedis(encodeValue(value))) as unknown[];
    expect(Buffer.isBuffer(decoded[0])).toBe(true);
    expect(Buffer.isBuffer(decoded[1])).toBe(false);
    expect((decoded[1] as Uint8Array).buffer.byteLength).toBe(1);
    expect(decoded[2]).toEqual(new Date(Number.NaN));
    expect(Object.is(decoded[3], -0)).toBe(true);
    expect(0 in (decoded[4] as unknown[])).toBe(true);
    expect(1 in (decoded[4] as unknown[])).toBe(false);
    expect(decoded[5]).toEqual({});
  });

  test("values of another realm", () => {
    const value: unknown = vm.runInNewContext(
      "({ map: new Map([[1, [new Date(3)]]]), error: new TypeError('there'), set: new Set([1n]) })",
    );
    const decoded = decodeValue(overRedis(encodeValue(value))) as { error: Error };
    expect(decoded).toMatchObject({ map: new Map([[1, [new Date(3)]]]), set: new Set([1n]) });
    expect(decoded.error).toBeInstanceOf(TypeError);
  });

  test("an encoding reads well", () => {
    expect(
      encodeValue({ user: "ada", tags: ["a", 1, null, true], at: new Date(0), n: 5n, seen: new Set([1]) }),
    ).toEqual({
      user: "ada",
      tags: ["a", 1, null, true],
      at: { $taskloom: "date", value: "1970-01-01T00:00:00.000Z" },
      n: { $taskloom: "bigint", value: "5" },
      seen: { $taskloom: "set", value: [1] },
    });
  });
});

describe("what cannot be sent fails and says where", () => {
  class User {
    name = "ada";
  }
  test.each([
    ["a function", { run: () => 1 }, "value.run", "is a function"],
    ["a symbol", [[Symbol("s")]], "value[0][0]", "is a symbol"],
    [
      "an instance",
      { list: [{ "my user": new User() }] },
      'value.list[0]["my user"]',
      "is an instance of User",
    ],
    [
      "a promise",
      { wait: Promise.resolve(1) },
      "value.wait",
      "is a promise, to another process. Await the promise first",
    ],
    ["a value in a map", new Map([["k", new WeakMap()]]), "value[map value 0]", "is an instance of WeakMap"],
    ["a key in a map", { m: new Map([[() => {}, 1]]) }, "value.m[map key 0]", "is a function"],
    ["an item of a set", new Set([1, () => {}]), "value[item 1]", "is a function"],
    ["under a key that is escaped", { $taskloom: 1, f: () => {} }, "value[property 1]", "is a function"],
    ["a boxed number", Object(1), "value", "is an instance of Number"],
    ["shared memory", new SharedArrayBuffer(1), "value", "is an instance of SharedArrayBuffer"],
    ["an object with a prototype", Object.create({ a: 1 }), "value", "is not a plain object"],
  ])("%s", (_what, value, path, words) => {
    let error: unknown;
    try {
      encodeValue(value);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(WireError);
    expect(error).toMatchObject({ code: "UNSENDABLE", path });
    expect((error as Error).message).toContain(`Cannot send ${path}, which ${words}`);
  });

  test("the value goes by the name it is given", () => {
    expect(() => encodeValue([{}, { f() {} }], { name: "arguments" })).toThrow(
      "Cannot send arguments[1].f, which is a function",
    );
  });

  test("what is too large, as soon as it is", () => {
    const large = { rows: Array.from({ length: 100 }, () => ({ text: "x".repeat(1000) })) };
    expect(() => encodeValue(large, { size: 50_000 })).toThrow(
      expect.objectContaining({
        code: "TOO_LARGE",
        path: expect.stringMatching(/^value\.rows\[4\d\]\.text$/),
      }),
    );
    expect(() => encodeValue(Buffer.alloc(5 * 1024 * 1024))).toThrow(/larger than 4194304 bytes/);
    const sparse: number[] = [];
    sparse[4_000_000_000] = 1;
    expect(() => encodeValue(sparse)).toThrow(expect.objectContaining({ code: "TOO_LARGE" }));
    expect(() => encodeValue(5, { size: 8 })).not.toThrow();
  });

  test("the size that is counted is about the size that is stored", () => {
    fc.assert(
      fc.property(sendable, (value) => {
        const stored = Buffer.byteLength(JSON.stringify(encodeValue(value)));
        // A bound that is a fifth of what is stored must not be enough, nor ten times it too little.
        if (stored > 200) expect(() => encodeValue(value, { size: stored / 40 })).toThrow(WireError);
        expect(encodeValue(value, { size: stored * 10 })).toEqual(encodeValue(value));
      }),
    );
  });

  test("what is too deep, before the stack is used up", () => {
    let list: unknown = null;
    for (let n = 0; n < 100_000; n += 1) list = { next: list };
    expect(() => encodeValue(list)).toThrow(
      expect.objectContaining({ code: "TOO_LARGE", path: expect.stringMatching(/^value(\.next){500}$/) }),
    );
    let fits: unknown = null;
    for (let n = 0; n < 500; n += 1) fits = [fits];
    assert.deepStrictEqual(decodeValue(overRedis(encodeValue(fits))), fits);
  });
});

const there = (error: unknown): unknown => decodeError(overRedis(encodeError(error)));

describe("errors", () => {
  class OutOfStock extends Error {
    override name = "OutOfStock";
    sku: string;
    constructor(sku: string, options?: ErrorOptions) {
      super(`no ${sku} left`, options);
      this.sku = sku;
    }
    describe(): string {
      return `missing: ${this.sku}`;
    }
  }
  class Unknown extends TypeError {
    code = "E_UNKNOWN";
  }

  test("arrive as themselves: class, message, stack, cause, properties", () => {
    registerErrorClass(OutOfStock);
    const error = new OutOfStock("A-7", { cause: new RangeError("count") });
    const decoded = there(error) as OutOfStock;
    assert.deepStrictEqual(decoded, error);
    expect(decoded).toBeInstanceOf(OutOfStock);
    expect(decoded.describe()).toBe("missing: A-7");
    expect(decoded.stack).toBe(error.stack);
    expect(decoded.cause).toBeInstanceOf(RangeError);
    expect(Object.keys(decoded)).toEqual(Object.keys(error));
  });

  test("of a class that is not known, as the nearest that is, with their name", () => {
    const error = Object.assign(new Unknown("what"), { name: "Unknown" });
    const decoded = there(error) as Unknown;
    expect(decoded).toBeInstanceOf(TypeError);
    expect(decoded).toMatchObject({ name: "Unknown", code: "E_UNKNOWN", message: "what" });
  });

  test("AggregateError, DOMException, a cause that leads back", () => {
    const error = new AggregateError([new Error("a"), new TypeError("b")], "both");
    error.cause = error;
    const decoded = there(error) as AggregateError;
    expect(decoded).toBeInstanceOf(AggregateError);
    expect(decoded.errors[1]).toBeInstanceOf(TypeError);
    expect(decoded.cause).toBe(decoded);
    const aborted = there(AbortSignal.abort().reason) as DOMException;
    expect(aborted).toBeInstanceOf(DOMException);
    expect(aborted).toMatchObject({ name: "AbortError", code: 20, message: "This operation was aborted" });
  });

  test("with what cannot be sent: that prints, the rest is whole", () => {
    const error = Object.assign(new Error("socket"), {
      code: "ECONNRESET",
      request: { agent: () => 1, path: "/" },
    });
    expect(there(error)).toMatchObject({
      code: "ECONNRESET",
      request: { agent: "[Function: agent]", path: "/" },
    });
    expect(there(Object.assign(new Error("x"), { when: Promise.resolve(3) }))).toMatchObject({
      when: "Promise { 3 }",
    });
  });

  test("in a value as well", () => {
    const value = { failed: [new OutOfStock("B")], reason: Object.assign(new Error("x"), { f: () => 1 }) };
    const decoded = decodeValue(overRedis(encodeValue(value))) as typeof value;
    expect(decoded.failed[0]).toBeInstanceOf(OutOfStock);
    expect(decoded.reason.f).toBe("[Function: f]");
    // Only what hangs off the error is let through.
    expect(() => encodeValue([value, () => 1])).toThrow("Cannot send value[1], which is a function");
  });

  test.each([["text"], [undefined], [null], [5], [new Map([[1, { a: 1n }]])]])("thrown %s", (thrown) => {
    assert.deepStrictEqual(there(thrown), thrown);
  });

  test("thrown: what refers to itself, what cannot be sent, what cannot even be looked at", () => {
    const loop: Record<string, unknown> = { list: [] };
    (loop["list"] as unknown[]).push(loop);
    assert.deepStrictEqual(there(loop), loop);
    expect(there(() => 1)).toBe("[Function (anonymous)]");
    const bad = Object.assign(new Error("bad"), {});
    Object.defineProperty(bad, "boom", {
      enumerable: true,
      get: () => {
        throw new Error("no");
      },
    });
    expect(there(bad)).toMatchObject({ message: "bad" });
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(there(proxy)).toBeTypeOf("string");
  });

  test("too large, they are cut and still arrive", () => {
    const error = Object.assign(new RangeError("m".repeat(1_000_000)), { data: Buffer.alloc(1_000_000) });
    const encoded = encodeError(error);
    expect(JSON.stringify(encoded).length).toBeLessThan(200_000);
    const decoded = decodeError(encoded) as Error;
    expect(decoded).toBeInstanceOf(RangeError);
    expect(decoded.message).toMatch(/^m+… \(cut\)$/);
  });

  test("both stacks show", () => {
    const decoded = decodeError(encodeError(new Error("far")), "    at here (client.ts:1:1)") as Error;
    expect(decoded.stack).toMatch(/^Error: far\n[^]*--- called from ---\n {4}at here \(client.ts:1:1\)$/);
  });
});

describe("what comes in is not trusted", () => {
  test("anything is either read or refused as malformed, and changes nothing here", () => {
    fc.assert(
      fc.property(hostile, (json) => {
        for (const decode of [decodeValue, decodeError]) {
          try {
            decode(overRedis(json as Json));
          } catch (error) {
            expect(error).toBeInstanceOf(WireError);
            expect(error).toMatchObject({ code: "MALFORMED" });
          }
        }
        expect(Object.keys(Object.prototype)).toEqual([]);
        expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
      }),
      { numRuns: 1500 },
    );
  });

  test("an encoding that was changed anywhere is read or refused", () => {
    fc.assert(
      fc.property(
        sendable,
        fc.nat(),
        fc.constantFrom("", "x", '"', "0", "{", "null", "ref"),
        (value, at, put) => {
          const text = JSON.stringify(encodeValue(value));
          const changed = text.slice(0, at % text.length) + put + text.slice((at % text.length) + 1);
          let json: unknown;
          try {
            json = JSON.parse(changed);
          } catch {
            return;
          }
          try {
            decodeValue(json);
          } catch (error) {
            expect(error).toBeInstanceOf(WireError);
          }
        },
      ),
      { numRuns: 1500 },
    );
  });

  test("keys that name a prototype are keys", () => {
    const json: unknown = JSON.parse(
      '{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}}',
    );
    const decoded = decodeValue(json) as Record<string, unknown>;
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
    expect(Object.keys(decoded)).toEqual(["__proto__", "constructor"]);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    const error = decodeValue({
      $taskloom: "error",
      class: ["__proto__", "constructor"],
      name: "x",
      message: "",
      stack: "",
      properties: JSON.parse('{"__proto__": {"polluted": 1}}'),
      hidden: {},
    });
    expect(error).toBeInstanceOf(Error);
    expect(Object.getPrototypeOf(error)).toBe(Error.prototype);
  });

  test("depth, through nesting and through references", () => {
    const deep = JSON.parse(`${"[".repeat(200_000)}${"]".repeat(200_000)}`) as unknown;
    expect(() => decodeValue(deep)).toThrow(expect.objectContaining({ code: "MALFORMED" }));
    // Each item refers to the next one.
    const chain = Array.from({ length: 100_000 }, (_, n) => [{ $taskloom: "ref", path: [n + 1] }]);
    expect(() => decodeValue(chain)).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });

  test.each([
    ["a reference to itself", { $taskloom: "ref", path: [] }],
    ["a reference into nothing", [{ $taskloom: "ref", path: ["__proto__"] }]],
    ["a bigint of a million digits", { $taskloom: "bigint", value: "9".repeat(1_000_000) }],
    ["a regular expression that is none", { $taskloom: "regexp", source: "(", flags: "" }],
    ["a typed array of half an item", { $taskloom: "Float64Array", value: "AAAA" }],
    ["a class that is no array", { $taskloom: "Function", value: "alert()" }],
    ["a map without pairs", { $taskloom: "map", value: [[1]] }],
    ["a newer kind", { $taskloom: "temporal", value: "P1D" }],
  ])("%s", (_what, json) => {
    expect(() => decodeValue(json)).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });
});
