#!/usr/bin/env bash
# @opentelemetry/sdk-metrics 2.12.0: after `removeBatchObservableCallback` an observable gauge goes on to be exported with the
# last value that the removed callback observed.
#
# A program that removes its callback when a resource has gone expects the series to end, as it does after the callback
# observes nothing. The series stays for as long as the process, with a value that nobody measures any more.
#
# Output seen:
#   with the callback: 7
#   after its removal: 7
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/sdk-metrics@2.12.0
cat >try.mjs <<'JS'
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";

class Reader extends MetricReader {
  async onForceFlush() {}
  async onShutdown() {}
}
const reader = new Reader();
const meter = new MeterProvider({ readers: [reader] }).getMeter("library");
const gauge = meter.createObservableGauge("depth");
let calls = 0;
const observe = (result) => {
  calls++;
  result.observe(gauge, 7);
};
meter.addBatchObservableCallback(observe, [gauge]);
const exported = async () => {
  const { resourceMetrics } = await reader.collect();
  return resourceMetrics.scopeMetrics
    .flatMap(({ metrics }) => metrics)
    .flatMap(({ dataPoints }) => dataPoints.map(({ value }) => value));
};
const before = await exported();
meter.removeBatchObservableCallback(observe, [gauge]);
const callsBefore = calls;
await exported();
const after = await exported();
console.log(`with the callback: ${before.join(", ") || "(nothing)"}`);
console.log(`after its removal: ${after.join(", ") || "(nothing)"}`);
process.exit(calls === callsBefore && before.join() === "7" && after.join() === "7" ? 0 : 1);
JS
node try.mjs
