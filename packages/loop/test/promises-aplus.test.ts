import { createRequire } from "node:module";
import { expect, onTestFinished, test } from "vitest";
import { Future } from "@taskloom/loop";

interface Adapter {
  deferred(): { promise: Future; resolve(value: unknown): void; reject(reason: unknown): void };
}
type Suite = (
  adapter: Adapter,
  options: { reporter: string; bail: boolean; timeout: number },
  callback: (error: (Error & { failures?: number }) | null) => void,
) => void;

// The suite is CommonJS and needs its own copy of mocha; it waits on its own timers.
const suite = createRequire(import.meta.url)("promises-aplus-tests") as Suite;

test("the Promises/A+ suite passes on Future", { timeout: 180_000 }, async () => {
  const adapter: Adapter = {
    deferred() {
      const promise = new Future();
      return {
        promise,
        // A second settlement of a future throws; a promise ignores it.
        resolve: (value) => void (promise.done() || promise.setResult(value)),
        reject: (reason) => void (promise.done() || promise.setException(reason)),
      };
    },
  };
  // The suite drops rejected promises on purpose; they are no failure of this file.
  const listeners = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", () => {});
  onTestFinished(() => {
    process.removeAllListeners("unhandledRejection");
    for (const listener of listeners) process.on("unhandledRejection", listener);
  });
  const failures = await new Promise<number>((resolve) => {
    suite(adapter, { reporter: "dot", bail: false, timeout: 10_000 }, (error) =>
      resolve(error === null ? 0 : (error.failures ?? -1)),
    );
  });
  expect(failures).toBe(0);
});
