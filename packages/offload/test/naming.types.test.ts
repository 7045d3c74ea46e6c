/** Checks of the types. `tsc` checks this file, and the tests run it. */
import { describe, expect, expectTypeOf, it } from "vitest";
import type { Task } from "@taskloom/loop";
import { threaded, toThread } from "../src/index.ts";
import type { ThreadPoolExecutor, ThreadStream } from "../src/index.ts";
import type { Jobs } from "./support.ts";

const jobs = threaded<Jobs>("./fixtures/jobs.ts");
const fs = threaded<typeof import("node:fs")>("node:fs");

/** Never called; the compiler checks the body. */
function types(pool: ThreadPoolExecutor): void {
  expectTypeOf(jobs.add).parameters.toEqualTypeOf<[a: number, b: number]>();
  expectTypeOf(jobs.add(1, 2)).toEqualTypeOf<Task<number>>();
  expectTypeOf(jobs.taskName()).toEqualTypeOf<Task<string | undefined>>();
  expectTypeOf(jobs.coroutineJob(1)).toEqualTypeOf<Task<string>>();
  expectTypeOf(toThread(jobs.add, 1, 2)).toEqualTypeOf<Task<number>>();
  expectTypeOf(toThread((n: number) => [n], 1)).toEqualTypeOf<Task<number[]>>();
  expectTypeOf(
    toThread(function* (n: number): Generator<unknown, string, never> {
      return String(n);
    }, 1),
  ).toEqualTypeOf<Task<string>>();
  expectTypeOf(fs.readFileSync("a", "utf8")).toEqualTypeOf<Task<string>>();
  expectTypeOf(pool.stream(jobs.count, 3)).toEqualTypeOf<ThreadStream<number>>();
  expectTypeOf(
    pool.stream(function* () {
      yield "a";
    }),
  ).toEqualTypeOf<ThreadStream<string>>();
  expectTypeOf(pool.map(async (n: number) => String(n), [1]).toArray()).toEqualTypeOf<Task<string[]>>();
  // @ts-expect-error -- a string is no number
  void jobs.add(1, "2");
  // @ts-expect-error -- an argument is missing
  void toThread(jobs.add, 1);
  // @ts-expect-error -- there is no such function
  void jobs.subtract;
  // @ts-expect-error -- not a function, so not on a thread
  void jobs.requestId;
}

describe("types of threaded functions", () => {
  it("are those of the functions, with a Task for the result", () => {
    expect(types).toBeTypeOf("function");
  });
});
