import { writeFile } from "node:fs/promises";
import { Ajv } from "ajv";
import { openShards } from "@taskloom/queue/operating";
import type { Locator, Page } from "playwright-core";
import { expect, vi } from "vitest";
import { shardsSchema } from "../../apps/worker/src/service/http/answer-schemas.ts";
import { startShards, urlOf } from "../support/redis-shards.ts";
import { faintTexts, missing, mount, test, violationsOf, watched } from "./browser-page.ts";
import { add } from "./fixtures/tasks.ts";

// A browser on a loaded machine of two cores takes minutes for what takes seconds on a quiet one.
vi.setConfig({ testTimeout: 300_000 });

const row = (page: Page, text: RegExp): Locator => page.getByRole("row").filter({ hasText: text });

/** A folder for screenshots, if a person wants to look at them. */
const shots = process.env["TASKLOOM_TEST_SHOTS"];

test("the overview shows the shards, the progress of a change of their number, and a lost one", async ({
  browser,
  skip,
}) => {
  if (browser === undefined) return skip(missing);
  const started = await startShards(3).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT")
      return skip("no redis-server on the PATH (Debian: apt-get install redis-server)");
    throw error;
  });
  const { servers } = started;
  const [two, three] = [urlOf(servers.slice(0, 2)), urlOf(servers)];
  try {
    await mount(async ({ address, queue }) => {
      // Paused, so that the jobs stay on the shards of their ids.
      await queue.pause();
      const ids = Array.from({ length: 30 }, (_, n) => `sum-${n}`);
      for (const id of ids) await queue.with({ id }).submit(add, 1, 2).sent();
      await watched(
        browser,
        () => new URL(address).origin,
        async (page) => {
          await page.goto(address);
          await page.getByText(/^2 shards \(/).waitFor();
          await row(page, /^1open/).waitFor();

          await using admin = openShards(three);
          const { left } = await admin.set(3);
          expect(left).toBeGreaterThan(0);
          await page
            .getByText(`Change from 2 to 3 shards: ${left} jobs and schedules of the earlier layout are left`)
            .waitFor();
          await row(page, /^2open/).waitFor();
        },
      );
      for (const [colorScheme, width] of [
        ["light", 1280],
        ["dark", 390],
      ] as const) {
        const page = await browser.newPage({
          bypassCSP: true,
          colorScheme,
          viewport: { width, height: 900 },
        });
        await page.goto(address);
        await page
          .getByText(/^Change from 2 to 3 shards: \d+ jobs and schedules of the earlier layout are left/)
          .waitFor();
        // A wide table scrolls in its own region, and not the page.
        expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(width);
        expect(await faintTexts(page)).toEqual([]);
        expect(await violationsOf(page)).toEqual([]);
        if (shots !== undefined)
          await writeFile(`${shots}/shards-${width}.png`, await page.screenshot({ fullPage: true }));
        await page.close();
      }
      const report = (await (await fetch(`${address}shards`)).json()) as object;
      const isDescribed = new Ajv({ strict: false }).compile(shardsSchema);
      expect([isDescribed(report), isDescribed.errors]).toEqual([true, null]);
      // The other parts of the page need all shards and report the loss.
      await servers[1]!.kill();
      const state = async (): Promise<string> => {
        const answer = await fetch(`${address}shards`);
        const { shards } = (await answer.json()) as { shards?: { state: string }[] };
        return shards?.map((shard) => shard.state).join() ?? "";
      };
      await expect.poll(state, { timeout: 60_000, interval: 500 }).toBe("open,down,open");
      const page = await browser.newPage();
      await page.goto(address);
      await page.getByText("1 without an answer").waitFor();
      await row(page, /^1down–/).waitFor();
      await page.close();
    }, two);
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
});
