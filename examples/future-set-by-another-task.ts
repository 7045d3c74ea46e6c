// A Future is a result that another task will provide: one task waits for it, and another sets it.
import { coroutine, getRunningLoop, run, sleep } from "@taskloom/loop";
import type { Future } from "@taskloom/loop";

const doAsyncJob = coroutine(async (future: Future<string>) => {
  await sleep(2000);
  future.setResult("Hello future");
});

export async function main(): Promise<void> {
  const loop = getRunningLoop();
  const future = loop.createFuture<string>();
  loop.createTask(doAsyncJob(future));

  await future; // until it has a result
  console.log(future.result());
}

if (import.meta.main) await run(main);
