// Five jobs of a second each. Awaited in a loop, like blocking calls, they take five seconds. As tasks they
// take one second; `wait` takes tasks and returns the sets of done and pending ones.
import { coroutine, createTask, getRunningLoop, run, sleep, wait } from "@taskloom/loop";

const doSomething = coroutine(async (i: number) => {
  console.log(`job ${i} begins`);
  await sleep(1000);
  console.log(`job ${i} ends`);
});

export async function main(): Promise<void> {
  const loop = getRunningLoop();
  let started = loop.time();
  for (let i = 1; i <= 5; i++) await doSomething(i);
  console.log(`one after the other: ${((loop.time() - started) / 1000).toFixed(2)} s`);

  started = loop.time();
  const tasks = [1, 2, 3, 4, 5].map((i) => createTask(doSomething(i)));
  const { done, pending } = await wait(tasks);
  console.log(`${done.size} done, ${pending.size} pending`);
  console.log(`together: ${((loop.time() - started) / 1000).toFixed(2)} s`);
}

if (import.meta.main) await run(main);
