// The kind of a function shows the kind of its result before the call; the result shows it afterwards.
import {
  coroutine,
  isAsyncGeneratorFunction,
  isAwaitable,
  isCoroutine,
  isCoroutineFunction,
  isFuture,
  run,
} from "@taskloom/loop";

async function asyncFunction(): Promise<void> {}
function* generatorFunction(): Generator<never, void> {}
function regularFunction(): void {}
async function* asyncGenerator(): AsyncGenerator<number> {
  yield 1;
}
const wrapped = coroutine(asyncFunction);

export async function main(): Promise<void> {
  console.log("isCoroutineFunction");
  for (const fn of [asyncFunction, generatorFunction, wrapped, regularFunction, asyncGenerator]) {
    console.log(`  ${fn === wrapped ? "coroutine(asyncFunction)" : fn.name}: ${isCoroutineFunction(fn)}`);
  }
  console.log("isAsyncGeneratorFunction");
  for (const fn of [asyncGenerator, generatorFunction]) {
    console.log(`  ${fn.name}: ${isAsyncGeneratorFunction(fn)}`);
  }
  const call = wrapped();
  const promise = asyncFunction(); // a JavaScript async function has started when the call returns
  console.log("isCoroutine:", isCoroutine(call), isCoroutine(generatorFunction()), isCoroutine(promise));
  console.log("isAwaitable:", isAwaitable(call), isAwaitable(promise), isAwaitable(42));
  console.log("isFuture:", isFuture(promise));
  await call;
  await promise;
}

if (import.meta.main) await run(main);
