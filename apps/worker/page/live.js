// The figures that several parts of the page show. Reads within one round share one request.
import { request } from "./actions.js";

const FRESH_MS = 900;

function shared(path) {
  let read;
  return () => {
    if (read === undefined || performance.now() - read.at > FRESH_MS) {
      const fresh = { at: performance.now(), answer: request(path) };
      fresh.answer.catch(() => (read = undefined));
      read = fresh;
    }
    return read.answer;
  };
}

export const readQueues = shared("/queues");
export const readWorkers = shared("/workers");

/** Returns the numbers of live and of dead workers, as text. Workers of a user's own processes are known by queue alone. */
export async function workersText() {
  const [queues, workers] = await Promise.all([readQueues(), readWorkers()]);
  const dead = workers.filter(({ state }) => state === "dead").length;
  const live = Math.max(workers.length - dead, ...Object.values(queues).map((queue) => queue.workers), 0);
  return `${live} live worker${live === 1 ? "" : "s"}${dead === 0 ? "" : `, ${dead} dead`}`;
}

export async function failedCount() {
  let sum = 0;
  for (const { loop, thread, workflow } of Object.values(await readQueues()))
    sum += loop.failed + thread.failed + workflow.failed;
  return sum;
}
