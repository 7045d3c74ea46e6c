// gather returns the results in the order of its arguments, whichever is ready first.
import { coroutine, gather, run, sleep } from "@taskloom/loop";

const doAsyncJob = coroutine(async (delay: number) => {
  await sleep(delay);
  console.log(`job of ${delay} ms is done`);
  return delay / 100;
});

export async function main(): Promise<void> {
  const results = await gather([doAsyncJob(300), doAsyncJob(100), doAsyncJob(200)]);
  for (const value of results) console.log(`result => ${value}`);
}

if (import.meta.main) await run(main);
