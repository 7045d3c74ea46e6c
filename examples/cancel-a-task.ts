// Cancelling throws a CancelledError at the await where the task is suspended. The task can clean up in
// `catch` and `finally`, and should let the error pass. If a task is cancelled before its first step (no
// await between createTask and cancel), it never starts, and not even its `finally` runs.
import { CancelledError, coroutine, createTask, run, sleep, wait } from "@taskloom/loop";

const cancelMe = coroutine(async () => {
  console.log("cancelMe(): sleep");
  try {
    await sleep(3_600_000);
  } catch (error) {
    if (error instanceof CancelledError) console.log("cancelMe(): cancel sleep");
    throw error;
  } finally {
    console.log("cancelMe(): after sleep");
  }
});

export async function main(): Promise<void> {
  console.log("main(): running");
  const task = createTask(cancelMe());
  console.log("main(): sleep");
  await sleep(5000);
  console.log("main(): call cancel");
  task.cancel();
  try {
    await task;
  } catch (error) {
    if (!(error instanceof CancelledError)) throw error;
    console.log("main(): cancelMe is cancelled now");
  }

  const tooSoon = createTask(cancelMe());
  tooSoon.cancel();
  await wait([tooSoon]); // does not throw, unlike `await tooSoon`
  console.log(`main(): cancelled before it began: ${tooSoon.cancelled()}`);
}

if (import.meta.main) await run(main);
