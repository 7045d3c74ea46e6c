// Two coroutines alternate: `a` pauses with sleep(0), which takes no time, and `b` runs meanwhile. A task
// pauses only at an `await` (or `yield*`); between two of them it has the thread to itself.
import { coroutine, gather, run, sleep } from "@taskloom/loop";

const a = coroutine(function* a() {
  console.log("Suspending a");
  yield* sleep(0);
  console.log("Resuming a");
});

// The other spelling is an async function. Both mean the same and await each other.
const b = coroutine(async function b() {
  console.log("In b");
});

export async function main(): Promise<void> {
  await gather([a(), b()]);
}

if (import.meta.main) await run(main);
