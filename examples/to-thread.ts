// Three blocking calls of three seconds each. In place they take nine seconds and block everything else; on
// threads they take three seconds, and the loop stays free.
import { gather, getRunningLoop, run } from "@taskloom/loop";
import { toThread } from "@taskloom/offload";

/** The function travels to the thread as its source text, so it may use nothing outside itself. */
function hardWork(ms: number): number {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms); // blocks its thread
  return process.getBuiltinModule("node:worker_threads").threadId;
}

export async function main(ms = 3000): Promise<void> {
  const loop = getRunningLoop();
  let heartbeats = 0;
  const beat = (): void => {
    heartbeats++;
    loop.callLater(ms / 10, beat);
  };
  beat();
  const jobs = {
    "in place": async () => hardWork(ms),
    "on a thread": () => toThread(hardWork, ms),
  };
  for (const [where, job] of Object.entries(jobs)) {
    const started = loop.time();
    heartbeats = 0;
    const threads = await gather([job(), job(), job()]);
    const seconds = (loop.time() - started) / 1000;
    console.log(`${where}: ${seconds.toFixed(1)} s, threads ${threads.join(" ")}, ${heartbeats} heartbeats`);
  }
}

if (import.meta.main) await run(main);
