import { describe, expect, it } from "vitest";
import { ThreadRecursionError, threadObject, threaded } from "../src/index.ts";
import { failure, makePool } from "./support.ts";

interface Module {
  work(n: number): number;
}
const load = (name: string): { work(n: number): PromiseLike<number> } =>
  threaded<Module>(new URL(`./fixtures/recursive/${name}.ts`, import.meta.url), {
    executor: makePool({ maxThreads: 1, spareThreads: 0 }),
  });

describe("a module that uses threads at its top level, imported by a thread", () => {
  it.each(["top-level", "by-way-of-another", "other-way", "by-text"])(
    "is refused where that would start threads without end: %s",
    async (name) => {
      const error = await failure(load(name).work(1));
      expect(error).toBeInstanceOf(ThreadRecursionError);
      expect(error).toMatchObject({ code: "THREAD_RECURSION" });
      expect((error as Error).message).toMatch(/import\.meta\.main.*module of its own/);
    },
  );

  it("is refused where it makes an object of itself", async () => {
    const url = new URL("./fixtures/recursive/object.ts", import.meta.url);
    const made = threadObject<typeof import("./fixtures/recursive/object.ts"), "Doubler">(url, "Doubler", []);
    expect(await failure(made)).toBeInstanceOf(ThreadRecursionError);
  });

  it("is refused the call that it makes after it was loaded, and reports it; its functions run", async () => {
    const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
    expect(await load("unawaited").work(4)).toBe(8);
    expect((await warned).message).toContain(
      "ThreadRecursionError: work is called by the top level of file:",
    );
  });

  it("may use threads in its functions, and at its top level with a function that needs no module", async () => {
    expect(await load("nested").work(3)).toBe(7);
  });
});
