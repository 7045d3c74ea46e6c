import { describe, expect, it } from "vitest";
import { UncloneableError } from "../src/errors.ts";
import { transfer } from "../src/boundary/transfer.ts";
import { findUncloneable, encodeValue, showPath, decodeValue } from "../src/boundary/value-transport.ts";

const f = (): string => "f";
const g = (): string => "g";

type Fn = (...args: unknown[]) => unknown;

function across(value: unknown): unknown {
  const functions: Fn[] = [];
  const encoded = encodeValue(value, "value", (fn) => functions.push(fn) - 1);
  const cloned = structuredClone({ value: encoded.value, patches: encoded.patches });
  return decodeValue(cloned.value, cloned.patches, (index) => functions[index]);
}

describe("encodeValue and decodeValue", () => {
  it("sends plain values as they are", () => {
    const value = { a: [1, "two", { three: new Date(3) }], m: new Map([[1, new Set([2])]]) };
    const encoded = encodeValue(value, "value", null);
    expect(encoded).toEqual({ value, patches: null, transfer: null });
    expect(encoded.value).toBe(value);
  });

  it("finds what it has to note at any depth, in shared parts and in cycles", () => {
    const deep = (value: unknown, depth: number): unknown =>
      depth === 0 ? value : { in: [deep(value, depth - 1)] };
    for (const depth of [0, 1, 31, 32, 33, 500]) {
      expect(encodeValue(deep(new Error("x"), depth), "value", null).patches).toHaveLength(1);
      expect(encodeValue(deep(Buffer.from("x"), depth), "value", null).patches).toHaveLength(1);
      expect(encodeValue(deep(new Map([["k", new Error("x")]]), depth), "value", null).patches).toHaveLength(
        1,
      );
      expect(encodeValue(deep(new Date(), depth), "value", null).patches).toBe(null);
      expect(() => encodeValue(deep(f, depth), "value", null)).toThrow(UncloneableError);
      expect(encodeValue(deep(transfer(new Uint8Array(8)), depth), "value", null).transfer).toHaveLength(1);
    }
    let shared: unknown = { n: 1 };
    for (let i = 0; i < 60; i++) shared = [shared, shared];
    expect(encodeValue(shared, "value", null).patches).toBe(null);
    const cycle: Record<string, unknown> = { n: 1 };
    cycle["self"] = cycle;
    expect(encodeValue(cycle, "value", null).patches).toBe(null);
  });

  it("brings Buffers back as Buffers, at any depth", () => {
    const value = {
      top: Buffer.from("one"),
      list: [[Buffer.alloc(3, "x")]],
      map: new Map([["key", { deep: Buffer.from("two") }]]),
      set: new Set([Buffer.from("three")]),
      bytes: new Uint8Array([1, 2]),
    };
    const back = across(value) as typeof value;
    expect(back).toEqual(value);
    expect(Buffer.isBuffer(back.map.get("key")!.deep)).toBe(true);
    expect(Buffer.isBuffer([...back.set][0])).toBe(true);
    expect(Buffer.isBuffer(back.bytes)).toBe(false);
  });

  it("does not send the pool behind a small Buffer", () => {
    const encoded = encodeValue([Buffer.from("small")], "value", null);
    const [bytes] = encoded.value;
    expect(bytes!.buffer.byteLength).toBe(5);
  });

  it("finds functions at any depth and leaves the value untouched", () => {
    const value = {
      on: { data: f },
      list: [g],
      map: new Map([["k", f]]),
      keys: new Map([[g, 1]]),
      set: new Set([f]),
    };
    const back = across(value) as typeof value;
    expect(back.on.data()).toBe("f");
    expect(back.list[0]!()).toBe("g");
    expect(back.map.get("k")!()).toBe("f");
    expect([...back.keys][0]![0]()).toBe("g");
    expect([...back.set][0]!()).toBe("f");
    expect(value.on.data).toBe(f);
  });

  it("keeps cycles and shared parts, also where something had to be replaced", () => {
    const shared = { n: 1 };
    const value: Record<string, unknown> = { shared, again: shared, call: () => 5 };
    value["self"] = value;
    const back = across(value) as { self: unknown; shared: unknown; again: unknown; call: Fn };
    expect(back.self).toBe(back);
    expect(back.again).toBe(back.shared);
    expect(back.call()).toBe(5);
  });

  it("keeps errors whole inside values", () => {
    const value = { failures: [Object.assign(new RangeError("far"), { code: "FAR" })] };
    const back = across(value) as typeof value;
    expect(back.failures[0]).toBeInstanceOf(RangeError);
    expect(back.failures[0]).toMatchObject({ message: "far", code: "FAR" });
  });

  it.each([
    ["a symbol", { a: [{ b: Symbol("s") }] }, "value.a[0].b"],
    ["a promise", { "on load": Promise.resolve() }, 'value["on load"]'],
    ["a WeakMap", new Map([["k", new WeakMap()]]), "value.values()[0]"],
    ["a generator", [(function* () {})()], "value[0]"],
  ])("names the path of %s", (what, value, path) => {
    const attempt = (): unknown => encodeValue(value, "value", null);
    expect(attempt).toThrow(UncloneableError);
    expect(attempt).toThrow(`${path} cannot cross to another thread: ${what}`);
  });

  it("refuses a function where nobody could be called back", () => {
    expect(() => encodeValue({ a: { act() {} } }, "result", null)).toThrow("result.a.act cannot cross");
  });

  it("finds what only structured clone refuses", () => {
    const value = [{ fine: 1, odd: { get: globalThis.process.stdout } }];
    expect(
      findUncloneable([{ fine: 1 }, { deep: [Object.assign(() => {}, {})] }], "args", "refused"),
    ).toMatchObject({ path: "args[1].deep[0]" });
    expect(findUncloneable(value, "args", "refused")).toMatchObject({
      path: expect.stringMatching(/^args\[0\]\.odd\.get/) as string,
    });
  });

  it("shows paths as code", () => {
    expect(showPath("result", ["a", 0, "b c", { entry: 2, part: "key" }])).toBe(
      'result.a[0]["b c"].keys()[2]',
    );
  });
});
