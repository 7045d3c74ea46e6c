// Five jobs of a second each. Awaited in a loop, as blocking calls would be, they take five seconds; made
// tasks first and then waited for, one. `wait` takes tasks and says which are done.
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
