import { inspect, types } from "node:util";
import { describe, expect, it } from "vitest";
import { CancelledError, TimeoutError } from "@taskloom/loop";
import { registerErrorClass } from "@taskloom/loop";
import { decodeError, encodeError } from "../src/error-transport.ts";

class OutOfStock extends RangeError {
  readonly sku: string;
  constructor(sku: string, options?: ErrorOptions) {
    super(`no ${sku} left`, options);
    this.sku = sku;
  }
}
OutOfStock.prototype.name = "OutOfStock";

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

  it("say where the call was made", () => {
    const decoded = decodeError(encodeError(new Error("there")), "Error\n    at here (file.ts:1:2)") as Error;
    expect(decoded.stack).toMatch(/^Error: there\n[^]*--- called from ---\n {4}at here \(file\.ts:1:2\)$/);
  });
});
