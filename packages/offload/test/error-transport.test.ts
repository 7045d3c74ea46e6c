import { inspect, types } from "node:util";
import { describe, expect, it } from "vitest";
import { CancelledError, TimeoutError } from "@taskloom/loop";
import { registerErrorClass } from "@taskloom/loop";
import { decodeError, encodeError } from "../src/boundary/error-transport.ts";

class OutOfStock extends RangeError {
  readonly sku: string;
  constructor(sku: string, options?: ErrorOptions) {
    super(`no ${sku} left`, options);
    this.sku = sku;
  }
}
OutOfStock.prototype.name = "OutOfStock";

const odd = (): number => 1;
const unprintable = {
  run: odd,
  [inspect.custom]: () => {
    throw new Error("not to be printed");
  },
};
const refuse = (): never => {
  throw new Error("not to be touched");
};
const hostile = new Proxy(Object.create(null) as object, {
  get: refuse,
  getPrototypeOf: refuse,
  ownKeys: refuse,
  getOwnPropertyDescriptor: refuse,
  has: refuse,
});

function withGetter(key: string): Error {
  return Object.defineProperty(new Error("odd"), key, { get: refuse, enumerable: true });
}

function withValue(key: string, value: unknown): Error {
  return Object.defineProperty(new Error("odd"), key, { value, enumerable: true });
}

function selfList(): unknown[] {
  const list: unknown[] = [new Error("in it")];
  list.push(list);
  return list;
}

function ofNamelessClass(): Error {
  class Nameless extends Error {}
  Object.defineProperty(Nameless, "name", { get: refuse });
  return new Nameless("odd");
}

function across(error: unknown): unknown {
  return decodeError(structuredClone(encodeError(error)));
}

describe("errors across a boundary", () => {
  it("keep their class where it is known, and run no constructor", () => {
    registerErrorClass(OutOfStock);
    const back = across(new OutOfStock("tea")) as OutOfStock;
    expect(back).toBeInstanceOf(OutOfStock);
    expect(types.isNativeError(back)).toBe(true);
    expect(back).toMatchObject({ name: "OutOfStock", message: "no tea left", sku: "tea" });
  });

  it("keep at least the name and the nearest known class otherwise", () => {
    class Unheard extends TypeError {
      override name = "Unheard";
    }
    const back = across(new Unheard("?")) as Error;
    expect(back).toBeInstanceOf(TypeError);
    expect(back.name).toBe("Unheard");
  });

  it("keep code, own properties, causes, cycles and stacks", () => {
    const error = Object.assign(new Error("outer", { cause: new OutOfStock("jam") }), {
      code: "E_X",
      at: new Date(5),
    });
    (error as { self?: unknown }).self = error;
    const back = across(error) as Error & { self: unknown; at: Date; code: string };
    expect(back.cause).toBeInstanceOf(OutOfStock);
    expect(back.self).toBe(back);
    expect(back.at).toEqual(new Date(5));
    expect(back.code).toBe("E_X");
    expect(back.stack).toBe(error.stack);
    expect(Object.keys(back)).toEqual(Object.keys(error));
  });

  it("keep the errors of an AggregateError, and Node's own and Taskloom's errors", () => {
    const back = across(new AggregateError([new TypeError("a"), "b"], "both")) as AggregateError;
    expect(back).toBeInstanceOf(AggregateError);
    expect(back.errors[0]).toBeInstanceOf(TypeError);
    expect(back.errors[1]).toBe("b");
    expect(across(new CancelledError("stop"))).toBeInstanceOf(CancelledError);
    expect(across(new TimeoutError("late"))).toBeInstanceOf(TimeoutError);
    const dom = across(new DOMException("gone", "AbortError")) as DOMException;
    expect(dom).toBeInstanceOf(DOMException);
    expect(dom.name).toBe("AbortError");
  });

  it("show what cannot be cloned as it prints", () => {
    const error = Object.assign(new Error("x"), { handler: () => 1, socket: { write() {} } });
    const back = across(error) as Error & { handler: unknown; socket: unknown };
    expect(back.handler).toBe(inspect(error.handler));
    expect(back.socket).toBe(inspect(error.socket));
  });

  it("carry what is not an error as it is", () => {
    for (const thrown of [undefined, null, 42, "text", { a: [1] }]) expect(across(thrown)).toEqual(thrown);
  });

  it.each([
    ["a getter that throws", withGetter("detail"), { message: "odd", detail: "[could not be read]" }],
    ["a cause that throws", withGetter("cause"), { message: "odd", cause: "[could not be read]" }],
    ["a message that throws", withGetter("message"), { message: "[could not be read]" }],
    ["a name that throws", withGetter("name"), { message: "odd" }],
    ["a stack that throws", withGetter("stack"), { message: "odd" }],
    ["a message that is an object", withValue("message", { why: [1] }), { message: { why: [1] } }],
    ["a message that is a function", withValue("message", odd), { message: inspect(odd) }],
    ["a name that is a symbol", withValue("name", Symbol("n")), { message: "odd", name: "Symbol(n)" }],
    ["a name that is a list", withValue("name", ["n"]), { message: "odd", name: ["n"] }],
    ["a stack that is a number", withValue("stack", 5), { message: "odd" }],
    ["a value whose printing throws", withValue("detail", unprintable), { detail: "[could not be read]" }],
    ["a hostile Proxy", withValue("detail", hostile), { message: "odd" }],
    ["errors in a Proxy", withValue("errors", new Proxy([new Error("x")], {})), { message: "odd" }],
    ["a list that holds itself", withValue("errors", selfList()), { message: "odd" }],
    ["a class whose name throws", ofNamelessClass(), { message: "odd" }],
  ])("with %s arrive with what can be read", (_what, error, expected) => {
    const back = across(error) as Error;
    expect(back).toBeInstanceOf(Error);
    expect(back).toMatchObject(expected);
    expect(typeof inspect(back)).toBe("string");
  });

  it("are read from what cannot be touched at all", () => {
    expect(typeof across(hostile)).toBe("string");
    expect(typeof across(unprintable)).toBe("string");
  });

  it("keep a long chain of causes to the depth that readers can follow, and all errors side by side", () => {
    let chain = new Error("0");
    for (let i = 1; i < 20_000; i++) chain = new Error(String(i), { cause: chain });
    let at: unknown = across(chain);
    let depth = 0;
    for (; at instanceof Error; at = at.cause) depth++;
    expect(depth).toBe(1001);
    expect(at).toBe("[left out: 18998]");
    const side = new AggregateError(Array.from({ length: 20_000 }, (_, i) => new Error(String(i))));
    expect((across(side) as AggregateError).errors.at(-1)).toMatchObject({ message: "19999" });
  });

  it("end, where a getter makes a new cause at each reading", () => {
    class Endless extends Error {
      constructor() {
        super("endless");
        Object.defineProperty(this, "cause", { get: () => new Endless(), enumerable: true });
      }
    }
    expect(across(new Endless())).toMatchObject({ message: "endless", cause: { message: "endless" } });
  });

  it("say where the call was made", () => {
    const decoded = decodeError(encodeError(new Error("there")), "Error\n    at here (file.ts:1:2)") as Error;
    expect(decoded.stack).toMatch(/^Error: there\n[^]*--- called from ---\n {4}at here \(file\.ts:1:2\)$/);
  });
});
