// A closure is code and does not reveal the function that it will call. callSoon therefore takes the
// arguments beside the function, so the handle shows both. A partial application of one's own is an object
// whose function and arguments can be read.
import { newEventLoop } from "@taskloom/loop";
import type { EventLoop } from "@taskloom/loop";
import type { EventLoopOptions } from "@taskloom/loop";

type Partial<A extends readonly unknown[]> = (() => unknown) & {
  readonly fn: (...args: A) => unknown;
  readonly args: A;
};

export function partial<A extends readonly unknown[]>(fn: (...args: A) => unknown, ...args: A): Partial<A> {
  return Object.assign(() => fn(...args), { fn, args });
}

function greet(greeting: string, name: string): void {
  console.log(`${greeting} ${name}!`);
}

function stopLoop(loop: EventLoop): void {
  console.log("Stopping loop");
  loop.stop();
}

export async function program(options: EventLoopOptions = {}): Promise<void> {
  const loop = newEventLoop(options);

  const hello = partial(greet, "Hello", "World");
  console.log(hello.fn.name, hello.args);

  console.log(loop.callSoon(greet, "Hello", "handle")); // the handle shows its function and arguments
  loop.callSoon(hello);
  loop.callSoon(partial(stopLoop, loop));
  await loop.runForever();
  loop.close();
}

if (import.meta.main) await program();
