import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { redisTest as test } from "../support/redis.ts";
import { Service } from "./service.ts";

test("a span for each attempt, linked to the trace of who submitted it", async ({ redis }) => {
  const tracing = new URL("./fixtures/tracing.ts", import.meta.url).href;
  const service = await Service.start(redis.url, [], { NODE_OPTIONS: `--import=${tracing}` });
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const traceparent = `00-${traceId}-b7ad6b7169203331-01`;
  const response = await service.ask("POST", "/tasks/test.add", { args: [1, 2] }, { traceparent });
  const { id } = (await response.json()) as { id: string };
  const [, line] = await service.process.printed(/span (.*test\.add process.*)/);
  expect(JSON.parse(line!)).toMatchObject({
    name: "test.add process",
    traces: [traceId],
    attributes: { "messaging.message.id": id, "taskloom.attempt": 1, "taskloom.state": "completed" },
  });
  await service.stop();
});

test("the steps of a durable run are spans, linked to the run's submission over a restart of the worker", async ({
  redis,
}) => {
  const env = { NODE_OPTIONS: `--import=${new URL("./fixtures/tracing.ts", import.meta.url).href}` };
  const orders = fileURLToPath(new URL("./fixtures/orders.ts", import.meta.url));
  const traceId = "1af7651916cd43dd8448eb211c80319c";
  const before = await Service.start(redis.url, [orders], env);
  const body = { args: [12, 6_000], id: "traced" };
  await before.ask("POST", "/tasks/test.order", body, { traceparent: `00-${traceId}-b7ad6b7169203331-01` });
  const [, charged] = await before.process.printed(/span (.*test\.charge step.*)/);
  expect(JSON.parse(charged!)).toMatchObject({
    name: "test.charge step",
    traces: [traceId],
    attributes: { "taskloom.run": "workflow.traced", "taskloom.attempt": 1, "taskloom.state": "completed" },
  });
  await before.stop();
  const after = await Service.start(redis.url, [orders], env);
  const [, refused] = await after.process.printed(/span (.*test\.refuse step.*)/);
  expect(JSON.parse(refused!)).toMatchObject({
    traces: [traceId],
    attributes: { "taskloom.run": "workflow.traced", "taskloom.state": "failed" },
  });
  await after.ask("POST", "/runs/traced/terminate");
  await after.stop();
});
