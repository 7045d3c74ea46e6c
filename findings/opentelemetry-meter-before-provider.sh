#!/usr/bin/env bash
# @opentelemetry/api 1.9.1, @opentelemetry/sdk-metrics 2.12.0: a meter that was taken before the provider was registered
# records nothing for ever, where a tracer that was taken before its provider begins to record.
#
# `trace.getTracer` returns a proxy that asks for the provider at each span. `metrics.getMeter` has no such proxy: without a
# provider it returns a meter without effect, and a library that keeps it at its import never reports a metric.
#
# Output seen:
#   span of an early tracer records: true
#   exported by an early meter: (none)
#   exported by a late meter: late
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/sdk-metrics@2.12.0 \
  @opentelemetry/sdk-trace-base@2.12.0
cat >try.mjs <<'JS'
import { metrics, trace } from "@opentelemetry/api";
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";

class Reader extends MetricReader {
  async onForceFlush() {}
  async onShutdown() {}
}
const earlyMeter = metrics.getMeter("library");
const earlyTracer = trace.getTracer("library");
const earlyCounter = earlyMeter.createCounter("early");

const reader = new Reader();
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
trace.setGlobalTracerProvider(new BasicTracerProvider());

earlyCounter.add(1);
earlyMeter.createCounter("early again").add(1);
const fromEarly = await names();
metrics.getMeter("library").createCounter("late").add(1);
const fromLate = await names();
async function names() {
  const { resourceMetrics } = await reader.collect();
  return resourceMetrics.scopeMetrics.flatMap(({ metrics: all }) => all.map(({ descriptor }) => descriptor.name));
}
const records = earlyTracer.startSpan("work").isRecording();
console.log(`span of an early tracer records: ${records}`);
console.log(`exported by an early meter: ${fromEarly.join(", ") || "(none)"}`);
console.log(`exported by a late meter: ${fromLate.join(", ") || "(none)"}`);
process.exit(records && fromEarly.length === 0 && fromLate.join() === "late" ? 0 : 1);
JS
node try.mjs
