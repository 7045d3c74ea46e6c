// Three counters of a second each take one second together: while one sleeps, the others run. Awaited one
// after the other, they would take three seconds.
import { coroutine, gather, getRunningLoop, run, sleep } from "@taskloom/loop";

const count = coroutine(async () => {
  console.log("One");
  await sleep(1000);
  console.log("Two");
});

export async function main(): Promise<void> {
  const loop = getRunningLoop();
  const started = loop.time();
  await gather([count(), count(), count()]);
  console.log(`executed in ${((loop.time() - started) / 1000).toFixed(2)} seconds`);
}

if (import.meta.main) await run(main);
