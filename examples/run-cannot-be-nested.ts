// A thread has one running loop. `run` inside a running loop throws an error with the remedy: await the
// coroutine, or make it a task. Two runs one after the other are allowed.
import { coroutine, run, sleep } from "@taskloom/loop";
import type { UsageError } from "@taskloom/loop";
import type { RunOptions } from "@taskloom/loop";

const inner = coroutine(async () => {
  await sleep(1);
  return "inner is done";
});

export async function program(options: () => RunOptions = () => ({})): Promise<void> {
  await run(async () => {
    const coro = inner();
    try {
      await run(coro);
    } catch (error) {
      console.log(`${(error as UsageError).code}: ${(error as UsageError).message}`);
    }
    console.log(await coro);
  }, options());
  console.log(await run(inner(), options()));
}

if (import.meta.main) await program();
