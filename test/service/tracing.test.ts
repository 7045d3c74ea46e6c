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
