// waitFor limits the time of a job. When the time is up, the job is cancelled (its last line is never
// printed), and the handler of the TimeoutError runs plan B.
import { coroutine, run, sleep, TimeoutError, waitFor } from "@taskloom/loop";

const doAsyncJob = coroutine(async () => {
  await sleep(2000);
  console.log("never printed");
});

const doAsyncJobSecondPlan = coroutine(async () => {
  await sleep(1000);
  console.log("do async job 2");
});

export async function main(): Promise<void> {
  try {
    await waitFor(doAsyncJob(), 1000);
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    console.log("timeout!");
    await waitFor(doAsyncJobSecondPlan(), 2000);
  }
}

if (import.meta.main) await run(main);
