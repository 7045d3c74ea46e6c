// createTask makes a Task of an awaitable or a function. ensureFuture does the same, and returns a Future
// unchanged. A loop has the methods loop.createTask and loop.createFuture.
import { coroutine, createTask, ensureFuture, getRunningLoop, run, sleep, Task } from "@taskloom/loop";

const testCoroutine = coroutine(async () => {
  await sleep(1000);
  return "Task is complete";
});

export async function main(): Promise<void> {
  const task1 = createTask(testCoroutine());
  const task2 = ensureFuture(testCoroutine());
  console.log(task2 instanceof Task, ensureFuture(task1) === task1);
  console.log(await task1);
  console.log(await task2);

  const loop = getRunningLoop();
  const future = loop.createFuture<string>();
  loop.createTask(async () => future.setResult("set by a task of the loop"));
  console.log(await future);
}

if (import.meta.main) await run(main);
