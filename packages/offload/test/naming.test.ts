import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  NotSelfContainedError,
  NotThreadableError,
  functionAddress,
  threaded,
  toThread,
} from "../src/index.ts";
import { whoAmI } from "./fixtures/defined.ts";
import { failure, jobs, makePool } from "./support.ts";

const OUTSIDE = 5;

describe("naming a function", () => {
  it("runs the functions of any module by its specifier", async () => {
    const pool = makePool();
    const zlib = threaded<typeof import("node:zlib")>("node:zlib", { executor: pool });
    const packed = await zlib.gzipSync(Buffer.from("hello"));
    expect(Buffer.isBuffer(packed)).toBe(true);
    expect(await zlib.gunzipSync(packed)).toEqual(Buffer.from("hello"));
    // The package is found from this file, and not from the file of the thread's own code.
    const ioredis = threaded<{ print(error: unknown, reply: string): void }>("comlink", { executor: pool });
    expect(await failure(ioredis.print(null, ""))).toBeInstanceOf(NotThreadableError);
    const url = new URL("./fixtures/jobs.ts", import.meta.url);
    for (const specifier of ["./fixtures/jobs.ts", url, url.href]) {
      const module = threaded<typeof import("./fixtures/jobs.ts")>(specifier, { executor: pool });
      expect(await module.add(1, 2)).toBe(3);
    }
  });

  it("gives members that carry their address, for every way to call them", async () => {
    const pool = makePool();
    expect((jobs.add as unknown as Record<symbol, unknown>)[functionAddress]).toMatchObject({
      module: new URL("./fixtures/jobs.ts", import.meta.url).href,
      name: "add",
    });
    expect(await pool.submit(jobs.add, 20, 22)).toBe(42);
    expect(await toThread.on(pool)(jobs.add, 1, 1)).toBe(2);
    expect(jobs.add.name).toBe("add");
  });

  it("finds an export by the name of its own address, whatever it is exported as", async () => {
    const pool = makePool();
    const named = Object.assign((n: number): number => n, {
      [functionAddress]: {
        module: new URL("./fixtures/defined.ts", import.meta.url).href,
        name: "math.double",
      },
    });
    expect(await pool.submit(named, 21)).toBe(42);
    expect(await pool.map(named, [1, 2, 3]).toArray()).toEqual([2, 4, 6]);
    // The definition of an async function looks plain, and nevertheless runs as a task.
    expect(await pool.submit(whoAmI)).toBe("who.am.i");
  });

  it("sends a self-contained function by its text", async () => {
    const pool = makePool();
    expect(await pool.submit((n: number) => n * 2, 21)).toBe(42);
    expect(await pool.submit(async (n: number) => n + 1, 1)).toBe(2);
    expect(
      // oxlint-disable-next-line require-yield -- a coroutine need not wait for anything
      await pool.submit(function* (n: number) {
        return n * 3;
      }, 2),
    ).toBe(6);
    const shorthand = {
      triple(n: number): number {
        return n * 3;
      },
    };
    expect(await pool.submit(shorthand.triple, 3)).toBe(9);
    expect(
      await pool.submit(
        async (a: string, b: string) => {
          const path = await import("node:path");
          return path.posix.join(a, b);
        },
        "x",
        "y",
      ),
    ).toBe("x/y");
  });

  it("names the variable when the function uses something from outside", async () => {
    const pool = makePool();
    const error = (await failure(pool.submit(() => OUTSIDE + 1))) as NotSelfContainedError;
    expect(error).toBeInstanceOf(NotSelfContainedError);
    expect(error.code).toBe("NOT_SELF_CONTAINED");
    expect(error.message).toMatch(/uses OUTSIDE, which is outside of it.*threaded\(.*defineTask/s);
  });

  it.each([
    ["a native function", Math.max, /native function.*threaded\(/s],
    ["a bound function", jobs.where.bind(null) as unknown as (n: number) => number, /bound function/],
    ["a class", URL as unknown as (n: number) => number, /threadObject/],
    [
      "a method that uses its object",
      {
        n: 1,
        get(this: { n: number }) {
          return this.n;
        },
      }.get as (n: number) => number,
      /is a method and uses the object it belongs to/,
    ],
    ["something that is no function", 5 as unknown as (n: number) => number, /Expected a function/],
  ])("refuses %s at once", (_what, fn, message) => {
    const pool = makePool();
    const attempt = (): unknown => pool.submit(fn, 1);
    expect(attempt).toThrow(NotThreadableError);
    expect(attempt).toThrow(message);
    expect(pool.stats().queued).toBe(0);
  });

  it("refuses a private method and a file that is not there at once", () => {
    class Holder {
      #secret(): number {
        return 1;
      }
      take(): () => number {
        return this.#secret;
      }
    }
    const pool = makePool();
    expect(() => pool.submit(new Holder().take())).toThrow(NotThreadableError);
    expect(() => threaded("./fixtures/nothing.ts")).toThrow(/There is no module .*nothing\.ts/);
  });

  it("takes the compiled file for its source, and the other way round, where only one is there", async () => {
    const folder = mkdtempSync(join(tmpdir(), "taskloom-naming-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    for (const name of ["built.js", "module.mjs", "common.cjs", "source.ts"]) {
      const isCommon = name.endsWith("cjs");
      writeFileSync(
        join(folder, name),
        `${isCommon ? "exports.name = " : "export const name = "}() => "${name}";`,
      );
    }
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    const executor = makePool();
    const nameOf = (specifier: string): PromiseLike<string> =>
      threaded<{ name(): string }>(new URL(specifier, pathToFileURL(`${folder}/`)), { executor }).name();
    const names = [
      "built.ts",
      "built.js",
      "module.mts",
      "common.cts",
      "source.js",
      "source.ts",
      "built.ts?v=1",
    ];
    const found: string[] = [];
    for (const name of names) found.push(await nameOf(name));
    expect(found).toEqual([
      "built.js",
      "built.js",
      "module.mjs",
      "common.cjs",
      "source.ts",
      "source.ts",
      "built.js",
    ]);
    expect(() => nameOf("bult.ts")).toThrow(/There is no module .*bult\.ts .*Did you mean built\.js\?/);
    expect(() => nameOf("quite-another.ts")).toThrow(/quite-another\.ts\)\.$/);
    expect(() => nameOf("no-such-folder/built.ts")).toThrow(NotThreadableError);
  });

  it("says what a module does export when it has no such function", async () => {
    const pool = makePool();
    const url = pathToFileURL(new URL("./fixtures/defined.ts", import.meta.url).pathname).href;
    const module = threaded<{ nothing(): void }>(url, { executor: pool });
    expect(await failure(module.nothing())).toMatchObject({
      code: "NOT_THREADABLE",
      message: expect.stringContaining("it exports double, whoAmI") as string,
    });
    const missing = threaded<{ f(): void }>("no-such-package", { executor: pool });
    expect(await failure(missing.f())).toMatchObject({ code: "ERR_MODULE_NOT_FOUND" });
  });
});
