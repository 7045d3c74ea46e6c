// Why not an arrow function? Because a closure is code, and cannot be asked what it will call. callSoon takes
// the arguments beside the function, so the handle can say both; and a partial application of one's own is
// an object whose function and arguments can be read back.
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

  console.log(loop.callSoon(greet, "Hello", "handle")); // the handle tells what it will call
  loop.callSoon(hello);
  loop.callSoon(partial(stopLoop, loop));
  await loop.runForever();
  loop.close();
}

if (import.meta.main) await program();
