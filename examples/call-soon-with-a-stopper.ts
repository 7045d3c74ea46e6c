// Two callbacks are scheduled in a loop that does not run yet. They run in order once it runs, and the second
// callback stops it.
import { newEventLoop } from "@taskloom/loop";
import type { EventLoop } from "@taskloom/loop";
import type { EventLoopOptions } from "@taskloom/loop";

function helloWorld(): void {
  console.log("Hello World");
}

function stopLoop(loop: EventLoop): void {
  console.log("Stopping loop");
  loop.stop();
}

export async function program(options: EventLoopOptions = {}): Promise<void> {
  const loop = newEventLoop(options);
  console.log(loop.isRunning());
  loop.callSoon(helloWorld);
  loop.callSoon(stopLoop, loop);
  await loop.runForever();
  loop.close();
}

if (import.meta.main) await program();
