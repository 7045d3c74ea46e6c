import { metrics } from "@opentelemetry/api";
import { DataPointType, MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import type { Histogram, MetricData } from "@opentelemetry/sdk-metrics";
import { afterAll, expect, test } from "vitest";
import { addQueueMeters } from "../src/service/queue-meters.ts";
import { JobMeters } from "../src/workers/job-meters.ts";
import { hasProvider } from "../src/workers/otel-providers.ts";
import { exportedMetrics, operations, recordAll, sample } from "./exported-metrics.ts";
import type { Exported } from "./exported-metrics.ts";

class Reader extends MetricReader {
  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}
}

const reader = new Reader();
const hadProvider = hasProvider("metrics");
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
afterAll(() => metrics.disable());

/** Returns a metric under the name, the type and the labels that Prometheus has for it. */
function asPrometheus({ descriptor, dataPointType, dataPoints, ...data }: MetricData): Exported {
  const isCounter =
    dataPointType === DataPointType.SUM && (data as { isMonotonic?: boolean }).isMonotonic === true;
  const unit = descriptor.unit === "s" ? "_seconds" : "";
  return {
    name: `${descriptor.name.replaceAll(".", "_")}${unit}${isCounter ? "_total" : ""}`,
    type: dataPointType === DataPointType.HISTOGRAM ? "histogram" : isCounter ? "counter" : "gauge",
    labels: [...new Set(dataPoints.flatMap(({ attributes }) => Object.keys(attributes)))].toSorted(),
    total: dataPoints.reduce(
      (sum, { value }) => sum + (typeof value === "number" ? value : (value as Histogram).count),
      0,
    ),
  };
}

async function collected(): Promise<Exported[]> {
  const { resourceMetrics, errors } = await reader.collect();
  expect(errors).toEqual([]);
  return resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics).map(asPrometheus);
}

const byName = (a: Exported, b: Exported): number => a.name.localeCompare(b.name);

test("OpenTelemetry has each metric of Prometheus, with the same labels and values", async () => {
  expect([hadProvider, hasProvider("metrics")]).toEqual([false, true]);
  let reads = 0;
  const meters = new JobMeters("host/0", () => {
    reads++;
    return sample;
  });
  const removeQueues = addQueueMeters(operations);
  recordAll(meters);
  const [mine, prometheus] = await Promise.all([collected(), exportedMetrics()]);
  expect(mine.toSorted(byName)).toEqual(prometheus.toSorted(byName));
  expect(prometheus.length).toBeGreaterThan(15);
  meters.stop();
  removeQueues();
  await collected();
  expect(reads).toBe(1);
});
