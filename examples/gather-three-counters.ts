// Three counters that each take a second take one second together, not three: while one sleeps, the others
// have their turn. Awaiting them one after the other would be the three-second program.
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
