// Two coroutines take turns: `a` gives way with sleep(0), which waits for no time at all, and `b` gets in
// between. Only an `await` (or `yield*`) gives way; between two of them a task has the thread to itself.
import { coroutine, gather, run, sleep } from "@taskloom/loop";

const a = coroutine(function* a() {
  console.log("Suspending a");
  yield* sleep(0);
  console.log("Resuming a");
});

// The other spelling: an async function. Both mean the same and await each other.
const b = coroutine(async function b() {
  console.log("In b");
});

export async function main(): Promise<void> {
  await gather([a(), b()]);
}

if (import.meta.main) await run(main);
