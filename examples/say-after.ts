// The same two greetings in three ways: awaited in sequence (3 s), as tasks (2 s), gathered (2 s). Awaiting a
// coroutine runs it in place; a task runs concurrently with its creator.
import { coroutine, createTask, gather, getRunningLoop, run, sleep } from "@taskloom/loop";

const sayAfter = coroutine(async (delay: number, what: string) => {
  await sleep(delay);
  console.log(what);
});

async function inSequence(): Promise<void> {
  await sayAfter(1000, "hello");
  await sayAfter(2000, "world");
}

async function asTasks(): Promise<void> {
  const hello = createTask(sayAfter(1000, "hello"));
  const world = createTask(sayAfter(2000, "world"));
  await hello;
  await world;
}

async function gathered(): Promise<void> {
  await gather([sayAfter(1000, "hello"), sayAfter(2000, "world")]);
}

export async function main(): Promise<void> {
  const loop = getRunningLoop();
  for (const program of [inSequence, asTasks, gathered]) {
    const started = loop.time();
    await program();
    console.log(`${program.name}: ${((loop.time() - started) / 1000).toFixed(2)} s`);
  }
}

if (import.meta.main) await run(main);
