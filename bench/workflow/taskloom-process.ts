/** One process of Taskloom: node taskloom-process.ts URL both|worker|client [RUNS] */
import { gather } from "@taskloom/loop";
import { TaskQueue, TaskWorker } from "@taskloom/queue";
import { workflowRun } from "@taskloom/workflow";
import { answer, timed } from "./answer.ts";
import {
  endless,
  fired,
  go,
  marks,
  resident,
  sequential,
  sleeper,
  tasks,
  together,
  waiting,
} from "./workflows.ts";

const [url, role, runs = "1000"] = process.argv.slice(2) as [string, "both" | "worker" | "client", string?];
const wallTime = (): number => performance.timeOrigin + performance.now();
process.send?.({ opening: wallTime() });
const queue = new TaskQueue({ engine: url });
await queue.connect();

let worker: TaskWorker | undefined;
if (role !== "client") {
  worker = new TaskWorker({ engine: url, tasks, threads: 1, runs: Number(runs), drain: 0 });
  worker.run().catch((error: unknown) => {
    throw error;
  });
  await worker.ready();
}

/** The most runs that are submitted together: the engine stores them in commands of bounded size. */
const SUBMITTED_AT_ONCE = 1_000;

async function submitted(
  count: number,
  submit: (n: number) => ReturnType<typeof queue.submit>,
): Promise<string[]> {
  const ids: string[] = [];
  for (let from = 0; from < count; from += SUBMITTED_AT_ONCE) {
    const length = Math.min(SUBMITTED_AT_ONCE, count - from);
    const handles = Array.from({ length }, (_, n) => submit(from + n));
    for (const handle of handles) handle.then(undefined, () => {});
    await Promise.all(handles.map((handle) => handle.sent()));
    ids.push(...handles.map(({ id }) => id));
  }
  return ids;
}

answer({
  async steps({ count }) {
    marks.clear();
    await queue.submit(sequential, count);
    return marks.between;
  },
  runs: ({ count, steps }) =>
    timed(() => gather(Array.from({ length: count }, () => queue.submit(sequential, steps)))),
  gather: ({ count }) => timed(() => queue.submit(together, count)),
  async submit({ workflow, count, from, each }) {
    const submit = {
      waiting: () => queue.submit(waiting, from),
      resident: () => queue.submit(resident),
      sleeper: (n: number) => queue.submit(sleeper, from + n * each),
      endless: () => queue.submit(endless),
    }[workflow];
    return { ids: await submitted(count, submit) };
  },
  async signal({ id, n }) {
    const at = wallTime();
    await workflowRun(queue, id).signal(go, n);
    return { at };
  },
  async state() {
    globalThis.gc?.();
    const { heapUsed, external, rss } = process.memoryUsage();
    const { running } = worker!.stats();
    return { resident: running.workflow, heap: heapUsed + external, rss, fired: fired.count };
  },
});
