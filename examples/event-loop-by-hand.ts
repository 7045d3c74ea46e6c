// The loop without `run`: get or create a loop, run work until it is complete, and close the loop.
// runUntilComplete returns a promise, because a Node thread cannot block. Awaiting the promise throws errors
// of the coroutine.
import { coroutine, getEventLoop, getRunningLoop, newEventLoop, setEventLoop, sleep } from "@taskloom/loop";
import type { UsageError } from "@taskloom/loop";
import type { EventLoopOptions } from "@taskloom/loop";

const myCoroutine = coroutine(async () => {
  console.log("Start");
  await sleep(2000);
  console.log("End");
  return "result";
});

export async function program(options: EventLoopOptions = {}): Promise<void> {
  try {
    getRunningLoop();
  } catch (error) {
    console.log((error as UsageError).code); // no loop is running here
  }

  const loop = newEventLoop(options);
  setEventLoop(loop);
  console.log("the loop that was set:", getEventLoop() === loop);
  console.log("running:", loop.isRunning());

  console.log(await loop.runUntilComplete(myCoroutine()));
  try {
    await loop.runUntilComplete(async () => {
      console.log("running:", loop.isRunning(), getRunningLoop() === loop);
      throw new RangeError("from the coroutine");
    });
  } catch (error) {
    console.log(String(error));
  }

  loop.close();
  setEventLoop(null);
  console.log("closed:", loop.isClosed());
  const late = myCoroutine();
  await loop.runUntilComplete(late).catch((error: UsageError) => console.log(error.code));
  late.close(); // this coroutine will not run
}

if (import.meta.main) await program();
