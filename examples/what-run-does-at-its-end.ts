// run creates a loop and runs the main coroutine. When main is done, run cancels all remaining tasks, waits
// for their clean-up, and closes the loop. A task that nothing waited for does not continue.
import { CancelledError, coroutine, createTask, getRunningLoop, run, sleep } from "@taskloom/loop";
import type { EventLoop } from "@taskloom/loop";
import type { RunOptions } from "@taskloom/loop";

const background = coroutine(async (name: string) => {
  try {
    await sleep(60_000);
    console.log(`${name}: never reached`);
  } catch (error) {
    if (error instanceof CancelledError) console.log(`${name}: cancelled`);
    throw error;
  } finally {
    await sleep(10);
    console.log(`${name}: cleaned up`);
  }
});

export async function program(options: RunOptions = {}): Promise<void> {
  let loop: EventLoop | undefined;
  const answer = await run(async () => {
    loop = getRunningLoop();
    createTask(background("first"));
    createTask(background("second"));
    await sleep(1);
    console.log("main is done");
    return 42;
  }, options);
  console.log(`run gave ${answer}; loop closed: ${loop?.isClosed()}`);
}

if (import.meta.main) await program();
