// Calling a coroutine function runs nothing: it makes a coroutine, which must be awaited or made a task.
// Debug mode (or TASKLOOM_DEBUG=1) reports a dropped coroutine. A plain async function starts when it is
// called, so it cannot be reported; `coroutine` wraps it and makes it lazy.
import { coroutine, run, sleep } from "@taskloom/loop";

export const nested = coroutine(function* nested() {
  yield* sleep(0);
  return 42;
});

export async function main(): Promise<void> {
  nested(); // nothing happens; debug mode reports "coroutine 'nested' was never awaited"
  console.log(await nested());
}

if (import.meta.main) {
  await run(main, { debug: true });
  // The report comes when the garbage collector finds the coroutine; --expose-gc makes that happen now.
  for (let i = 0; i < 10 && globalThis.gc; i++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
