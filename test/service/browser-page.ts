import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import type { Browser, Page } from "playwright-core";
import { expect } from "vitest";
import { redisTest } from "../support/redis.ts";
import { Service } from "./service.ts";

/** Runs in the page, and returns every piece of text with its contrast. */
export const contrastsOfText: string = readFileSync(
  new URL("./fixtures/contrasts.js", import.meta.url),
  "utf8",
);

export const axe: string = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

const ordersModule = fileURLToPath(new URL("./fixtures/orders.ts", import.meta.url));

const executablePath =
  process.env["TASKLOOM_TEST_CHROMIUM"] ??
  ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const missing =
  "no Chromium: put it at /usr/bin/chromium (Debian: apt-get install chromium) or name it in TASKLOOM_TEST_CHROMIUM";

/** A test with a service, and with a page of a browser that asks no other host and reports no error. */
export const test = redisTest.extend<{
  $file: { browser: Browser | undefined };
  $test: { service: Service; page: Page };
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
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(service.address)) complaints.push(`asked another host: ${request.url()}`);
    });
    await use(page);
    await page.close();
    expect(complaints).toEqual([]);
  },
});
