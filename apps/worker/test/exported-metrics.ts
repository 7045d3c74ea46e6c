import type { JobEvent, JobStart } from "@taskloom/queue";
import type { Operations, QueueView } from "../src/operations/operations.ts";
import { ServiceMetrics } from "../src/service/http/service-metrics.ts";
import { JobMetrics } from "../src/workers/job-metrics.ts";
import type { MeterSource } from "../src/workers/job-meters.ts";

const counts = {
  waiting: 1,
  delayed: 0,
  active: 0,
  completed: 2,
  cancelled: 0,
  failed: 0,
  oldestWait: 1_500,
};
const queue: QueueView = { loop: counts, thread: counts, workflow: counts, isPaused: true, workers: 1 };

/** The operations of an engine with one queue. */
export const operations = {
  queues: async () => ({ default: queue }),
  workers: async () => [],
} as unknown as Operations;

/** The last sample of a worker. */
export const sample: MeterSource = {
  view: {
    lanes: {
      loop: { running: 3, finished: 5, limit: 100 },
      thread: { running: 1, finished: 2, limit: 4 },
      workflow: { running: 2, finished: 1, limit: 1_000 },
    },
    loop: { delayP50: 1, delayP99: 20, delayMax: 40, utilization: 0.25 },
    admission: { isThrottled: true, reductions: 3 },
  },
  runCounts: { appends: 7, replayed: 8, divergences: 9 },
};

/** The parts that `JobMetrics` and `JobMeters` have in common. */
interface Recorder {
  started(start: JobStart): void;
  ended(event: JobEvent): void;
  stalled(): void;
  unknown(task: string): void;
}

/** Records each event of a worker once. */
export function recordAll(metrics: Recorder): void {
  const job = { id: "loop.1", name: "mail.send", queue: "default", lane: "loop", attempt: 1 } as const;
  metrics.started({ ...job, args: [], waited: 20, recoveries: 0 });
  metrics.ended({ ...job, state: "completed", duration: 40 });
  metrics.stalled();
  metrics.unknown("mail.lost");
}

/** One metric of a worker or a service. */
export interface Exported {
  readonly name: string;
  readonly type: string;
  /** The names of its labels, without `le`. */
  readonly labels: readonly string[];
  /** The sum of its values; of a histogram, the number of its values. */
  readonly total: number;
}

/** Returns the metrics that `/metrics` of a service shows, without those of Node. */
export async function exportedMetrics(): Promise<Exported[]> {
  const metrics = new JobMetrics("host/0");
  recordAll(metrics);
  const { lanes, loop, admission } = sample.view!;
  for (const [lane, { running, limit }] of Object.entries(lanes)) {
    metrics.running.set({ lane }, running);
    metrics.limit.set({ lane }, limit);
  }
  for (const [quantile, delay] of [
    ["0.5", loop.delayP50],
    ["0.99", loop.delayP99],
    ["1", loop.delayMax],
  ] as const)
    metrics.loopDelay.set({ quantile }, delay / 1_000);
  metrics.loopUtilization.set(loop.utilization);
  metrics.threads.set(lanes.thread.limit);
  metrics.throttled.set(admission.isThrottled ? 1 : 0);
  metrics.reductions.set(admission.reductions);
  metrics.runs(sample.runCounts);
  const service = new ServiceMetrics(operations, async () => [await metrics.snapshot()]);
  return parse(await service.text());
}

function parse(text: string): Exported[] {
  const types = [...text.matchAll(/^# TYPE (taskloom_\w+) (\w+)$/gm)];
  return types.map(([, name, type]) => {
    const suffix = type === "histogram" ? "_count" : "";
    const samples = [...text.matchAll(new RegExp(`^${name}${suffix}(?:\\{(.*)\\})? (\\S+)$`, "gm"))];
    return {
      name: name!,
      type: type!,
      labels: [...new Set(samples.flatMap(([, labels = ""]) => labelsOf(labels)))].toSorted(),
      total: samples.reduce((sum, [, , value]) => sum + Number(value), 0),
    };
  });
}

function labelsOf(labels: string): string[] {
  return [...labels.matchAll(/(\w+)="[^"]*"/g)].map(([, label]) => label!);
}
