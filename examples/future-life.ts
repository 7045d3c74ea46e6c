// The life of a Future: pending, then done with a result, an error or a cancellation. Callbacks run through
// the loop, in the order in which they were added, and never before setResult has returned.
import { CancelledError, Future, run } from "@taskloom/loop";
import type { InvalidStateError } from "@taskloom/loop";

function removed(): void {
  console.log("never called");
}

export async function main(): Promise<void> {
  const completed = new Future<string>();
  console.log(completed.done(), completed);
  try {
    completed.result();
  } catch (error) {
    console.log((error as InvalidStateError).code); // the future has no result yet
  }

  completed.addDoneCallback((future) => console.log(`callback: ${future.result()}`));
  completed.addDoneCallback(removed);
  console.log("callbacks removed:", completed.removeDoneCallback(removed));

  completed.setResult("Completed");
  console.log(completed.done(), completed.result());
  console.log(await completed);
  try {
    completed.setResult("again");
  } catch (error) {
    console.log((error as InvalidStateError).code); // a future is settled once
  }

  const failed = new Future<string>();
  failed.setException(new RangeError("Custom exception"));
  try {
    console.log(await failed);
  } catch (error) {
    console.log(`awaiting it throws: ${String(error)}`);
  }
  console.log(`exception(): ${String(failed.exception())}`);

  const cancelled = new Future<string>();
  console.log("cancelled:", cancelled.cancel("not needed"), cancelled.cancelled());
  try {
    await cancelled;
  } catch (error) {
    console.log(error instanceof CancelledError, (error as CancelledError).message);
  }
}

if (import.meta.main) await run(main);
