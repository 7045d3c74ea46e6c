// The loop by hand, as before `run` existed: get or make one, run something until it is complete, close it.
// runUntilComplete gives a promise (a Node thread cannot block), so it is awaited; errors of the coroutine
// are thrown there.
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
  late.close(); // it will not be run after all
}

if (import.meta.main) await program();
