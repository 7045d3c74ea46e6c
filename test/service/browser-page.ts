import { existsSync, readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { TaskQueue, TaskWorker, openEngine } from "@taskloom/queue";
import { dashboard } from "@taskloom/worker";
import type { DashboardAccess } from "@taskloom/worker";
import { fastify } from "fastify";
import { chromium } from "playwright-core";
import type { Browser, Page } from "playwright-core";
import { expect } from "vitest";
import { redisTest } from "../support/redis.ts";
import * as tasks from "./fixtures/tasks.ts";
import { Service } from "./service.ts";

/** Runs in the page, and returns every piece of text with its contrast. */
const contrastsOfText: string = readFileSync(new URL("./fixtures/contrasts.js", import.meta.url), "utf8");

const axe: string = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

const ordersModule = fileURLToPath(new URL("./fixtures/orders.ts", import.meta.url));

const executablePath =
  process.env["TASKLOOM_TEST_CHROMIUM"] ??
  ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
export const missing: string =
  "no Chromium: put it at /usr/bin/chromium (Debian: apt-get install chromium) or name it in TASKLOOM_TEST_CHROMIUM";

/** A dashboard in an app of this process, on an engine in memory with a worker of this process. */
export interface Mounted {
  /** The address of the page. */
  readonly address: string;
  readonly queue: TaskQueue;
  /** The permission of everybody. */
  access: DashboardAccess;
}

/** Mounts a dashboard for a test, by default on an engine in memory: such a test needs no service and no server. */
export async function mount(use: (mounted: Mounted) => Promise<void>, url = "memory:page"): Promise<void> {
  await using engine = openEngine(url);
  await using queue = new TaskQueue({ engine });
  await using worker = new TaskWorker({ engine, tasks: [tasks], threads: 1, drain: 0 });
  worker.run().catch(() => {});
  await worker.ready();
  const mounted = { address: "", queue, access: "operate" as DashboardAccess };
  const app = fastify({ forceCloseConnections: true });
  const panel = dashboard({ engine, modules: [tasks], authorize: () => mounted.access });
  await app.register(panel.fastify, { prefix: "/admin/jobs" });
  await app.listen({ host: "127.0.0.1", port: 0 });
  mounted.address = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/admin/jobs/`;
  await use(mounted);
  await app.close();
}

/** Opens a page that asks no other host and reports no error. */
export async function watched(
  browser: Browser,
  address: () => string,
  use: (page: Page) => Promise<void>,
): Promise<void> {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(address())) complaints.push(`asked another host: ${request.url()}`);
  });
  await use(page);
  await page.close();
  expect(complaints).toEqual([]);
}

/** A test with a service or a mounted dashboard, and with a page of a browser for it. */
export const test = redisTest.extend<{
  $file: { browser: Browser | undefined };
  $test: { service: Service; page: Page; mounted: Mounted; panel: Page };
}>({
  browser: [
    // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
    async ({}, use) => {
      if (executablePath === undefined) return await use(undefined);
      const browser = await chromium.launch({
        executablePath,
        args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
      });
      await use(browser);
      await browser.close();
    },
    { scope: "file" },
  ],
  service: async ({ redis }, use) => {
    const service = await Service.start(redis.url, [ordersModule]);
    await use(service);
    await service.stop();
  },
  page: async ({ browser, service, skip }, use) => {
    if (browser === undefined) return skip(missing);
    await watched(browser, () => service.address, use);
  },
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
  mounted: async ({}, use) => await mount(use),
  panel: async ({ browser, mounted, skip }, use) => {
    if (browser === undefined) return skip(missing);
    await watched(browser, () => new URL(mounted.address).origin, use);
  },
});

/** Returns the violations that axe finds in a page, whose policy has to be switched off for it. */
export async function violationsOf(page: Page): Promise<unknown> {
  // The document stays while its views change, and the script is large.
  if (!(await page.evaluate<boolean>("'axe' in window"))) await page.addScriptTag({ content: axe });
  const { violations } = await page.evaluate<{
    violations: { id: string; nodes: { html: string }[] }[];
  }>("axe.run({ resultTypes: ['violations'] })");
  return violations.map((found) => [found.id, found.nodes.map(({ html }) => html)]);
}

/** Returns the texts of a page whose contrast is below that of WCAG 2.2 AA for text of normal size. */
export async function faintTexts(page: Page): Promise<unknown[]> {
  const contrasts = await page.evaluate<{ text: string; contrast: number }[]>(contrastsOfText);
  return contrasts.filter(({ contrast }) => contrast < 4.5);
}
