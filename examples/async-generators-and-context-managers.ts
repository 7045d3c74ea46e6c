// `async for` is `for await` over an async generator. `async with` is `await using` where Node has it, and
// try/finally elsewhere. A scope that must know how its body ended (a timeout, a task group) is a function
// with a body, because a disposer does not see the body's error.
import { createTask, Lock, run, sleep, timeout, TimeoutError } from "@taskloom/loop";

async function* ticker(delay: number, to: number): AsyncGenerator<number> {
  try {
    for (let i = 0; i < to; i++) {
      yield i;
      await sleep(delay);
    }
  } finally {
    console.log("ticker: cleaned up");
  }
}

class Connection implements AsyncDisposable {
  static async open(): Promise<Connection> {
    await sleep(1);
    console.log("connection: open");
    return new Connection();
  }
  async query(): Promise<string> {
    await sleep(1);
    return "rows";
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await sleep(1);
    console.log("connection: closed");
  }
}

export async function main(): Promise<void> {
  for await (const i of ticker(1000, 10)) {
    console.log(`tick ${i}`);
    if (i === 2) break; // the generator's finally runs before the loop ends
  }

  {
    await using connection = await Connection.open();
    console.log(await connection.query());
  }

  const lock = new Lock();
  const other = createTask(async () => {
    using held = await lock.acquire();
    await sleep(10);
    console.log("other: releases the lock");
    held.release(); // or at the end of the block
  });
  await sleep(1);
  await lock.with(async () => console.log("main: has the lock"));
  await other;

  try {
    await timeout(1000, async (scope) => {
      console.log("deadline known inside:", scope.when() !== null);
      await sleep(60_000);
    });
  } catch (error) {
    console.log(error instanceof TimeoutError);
  }
}

if (import.meta.main) await run(main);
