// A printed task shows its state: pending with its position in the code, then finished with its result.
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
