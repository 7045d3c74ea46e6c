// A task shows what it is doing: pending with the place where it stands, then finished with its result.
import { coroutine, createTask, run, sleep } from "@taskloom/loop";

const a = coroutine(function* a() {
  yield* sleep(1);
  return "done";
});

export async function main(): Promise<void> {
  const task = createTask(a());
  await sleep(0); // its first step
  console.log(task.done(), task);
  await task;
  console.log(task.done(), task);
}

if (import.meta.main) await run(main);
