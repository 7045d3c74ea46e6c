// Calling a coroutine function runs nothing: it makes a coroutine, which has to be awaited or made a task.
// In debug mode (or with TASKLOOM_DEBUG=1) one that was dropped is reported. A plain async function starts
// when it is called and cannot be caught this way: wrap it with `coroutine` to have the same.
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
  // The report comes when the garbage collector finds the coroutine: run with --expose-gc to see it now.
  for (let i = 0; i < 10 && globalThis.gc; i++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
