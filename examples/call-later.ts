// Callbacks after 10 and 20 seconds. Callbacks with the same deadline run in the order in which they were set
// (Python leaves the order open). A handle can be cancelled before its time.
import { newEventLoop } from "@taskloom/loop";
import type { EventLoop } from "@taskloom/loop";
import type { EventLoopOptions } from "@taskloom/loop";

function stopLoop(loop: EventLoop): void {
  console.log(`Stopping loop`);
  loop.stop();
}

export async function program(options: EventLoopOptions = {}): Promise<void> {
  const loop = newEventLoop(options);
  const started = loop.time();
  const say = (what: string): void => {
    console.log(`${Math.round((loop.time() - started) / 1000)} s: ${what}`);
  };
  const when = started + 10_000;
  loop.callAt(when, say, "Hello World!");
  loop.callAt(when, say, "and then this, set second");
  const dropped = loop.callLater(15_000, say, "never");
  const stopper = loop.callLater(20_000, stopLoop, loop);
  dropped.cancel();
  console.log(dropped.cancelled(), stopper.cancelled());
  await loop.runForever();
  loop.close();
}

if (import.meta.main) await program();
