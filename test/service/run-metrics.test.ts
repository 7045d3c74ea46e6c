import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { redisTest } from "../support/redis.ts";
import { Service } from "./service.ts";

const ordersModule = fileURLToPath(new URL("./fixtures/orders.ts", import.meta.url));

redisTest("the metrics count the appends, replays and divergences of durable runs", async ({ redis }) => {
  const service = await Service.start(redis.url, [ordersModule]);
  try {
    await service.ask("POST", "/tasks/test.order", { args: [12, 10], id: "counted" });
    const metrics = async (): Promise<string> => await (await service.ask("GET", "/metrics")).text();
    await expect
      .poll(metrics, { timeout: 20_000 })
      .toMatch(/taskloom_run_appends_total\{worker="[^"]+"\} [1-9]/);
    const text = await metrics();
    expect(text).toMatch(/taskloom_run_replayed_ticks_total\{worker="[^"]+"\} 0/);
    expect(text).toMatch(/taskloom_run_divergences_total\{worker="[^"]+"\} 0/);
    await service.ask("POST", "/runs/counted/terminate");
  } finally {
    await service.stop();
  }
});
