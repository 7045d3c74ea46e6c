import type { Locator, Page } from "playwright-core";
import { expect, vi } from "vitest";
import { faintTexts, test, violationsOf } from "./browser-page.ts";
import type { Service } from "./service.ts";

// A browser on a loaded machine of two cores takes minutes for what takes seconds on a quiet one.
vi.setConfig({ testTimeout: 300_000 });

/** Submits an order whose run waits for `pause` ms after its first step. */
async function submitOrder(service: Service, id: string, pause: number): Promise<string> {
  const answer = await service.ask("POST", "/tasks/test.order", { args: [12, pause], id });
  expect(answer.status).toBe(201);
  return `workflow.${id}`;
}

async function openRun(page: Page, service: Service, id: string): Promise<Locator> {
  await page.goto(`${service.address}/#/runs`);
  await page.getByRole("link", { name: new RegExp(id) }).click();
  const run = page.getByRole("article", { name: `Run ${id}` });
  await run.waitFor();
  return run;
}

const line = (run: Locator, text: RegExp): Locator => run.getByRole("listitem").filter({ hasText: text });

test("a run opens with its timeline and views, and receives a signal from the page", async ({
  page,
  service,
}) => {
  const id = await submitOrder(service, "signalled", 300);
  const run = await openRun(page, service, id);
  await line(run, /Step test\.charge\(12\).*completed in .*receipt of 12/).waitFor();
  await line(run, /Wait .*300 ms|Wait .*\d/)
    .first()
    .waitFor();
  // The texts of a run are shown as text and never become markup.
  await line(run, /Step test\.refuse\("<b>paper<\/b>"\).*failed in .*RangeError no <b>paper<\/b>/).waitFor();
  await run.getByText("view progress").waitFor();
  await run.getByText("without paper").waitFor();
  await service.ask("POST", `/runs/${id}/updates/count`, { args: [2] });
  await line(run, /Update count.*\[2\] → completed 2/).waitFor();

  await run.getByRole("textbox", { name: "Signal" }).fill("approved");
  await run.getByLabel("Payload as JSON").fill("{ by");
  await run.getByRole("button", { name: "Send signal" }).click();
  await run.getByText(/The payload is not JSON/).waitFor();
  await run.getByLabel("Payload as JSON").fill('{ "by": "Ada" }');
  await page.keyboard.press("Enter");
  await line(run, /Signal approved.*{"by":"Ada"}/).waitFor();
  await line(run, /End .*completed/).waitFor();
  await run.getByText("receipt of 12, approved by Ada").waitFor();
  expect(await run.getByRole("button", { name: "Send signal" }).isVisible()).toBe(false);

  // Bars, gaps and marks are in the order of their times, within the track.
  const places = await page.evaluate<[kind: string, left: number, right: number][]>(
    `[...document.querySelectorAll(".track > *")].map(({ classList, style }) =>
       [classList[0], parseFloat(style.left), parseFloat(style.left) + parseFloat(style.width || "0")])`,
  );
  expect(places.slice(0, 3).map(([kind]) => kind)).toEqual(["bar", "gap", "bar"]);
  const [charge, gap, refuse] = places as [(typeof places)[0], (typeof places)[0], (typeof places)[0]];
  expect(charge[1]).toBe(0);
  expect(gap[1]).toBeCloseTo(charge[2], 0);
  expect(gap[2]).toBeCloseTo(refuse[1], 0);
  expect(places.every(([, left, right]) => left >= 0 && right <= 100.01)).toBe(true);

  await page.goBack();
  await page.getByRole("link", { name: new RegExp(id) }).waitFor();
});

test("runs are cancelled and terminated after a confirmation, by keyboard", async ({ page, service }) => {
  const cancelled = await submitOrder(service, "cancelled", 86_400_000);
  const terminated = await submitOrder(service, "terminated", 86_400_000);
  const run = await openRun(page, service, cancelled);
  await line(run, /test\.charge\(12\).*completed/).waitFor();
  const stateOf = async (id: string): Promise<unknown> => {
    const { state, reason } = (await (await service.ask("GET", `/runs/${id}`)).json()) as Record<
      string,
      unknown
    >;
    return { state, reason };
  };
  await run.getByRole("button", { name: "Cancel run" }).focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: `Cancel run ${cancelled}?` });
  await dialog.waitFor();
  // The focus is on the button that changes nothing.
  await page.keyboard.press("Enter");
  await dialog.waitFor({ state: "detached" });
  expect(await stateOf(cancelled)).toMatchObject({ state: expect.stringMatching(/active|parked/) });
  await page.keyboard.press("Enter");
  await dialog.getByLabel("Reason").fill("enough");
  await page.keyboard.press("Enter");
  await line(run, /Cancel .*enough/).waitFor();
  await expect.poll(() => stateOf(cancelled), { timeout: 20_000 }).toMatchObject({ state: "cancelled" });

  const other = await openRun(page, service, terminated);
  await other.getByRole("button", { name: "Terminate run" }).click();
  await page.getByRole("button", { name: "Yes, terminate run" }).click();
  await expect
    .poll(() => stateOf(terminated), { timeout: 20_000 })
    .toEqual({ state: "cancelled", reason: "live page" });
});

test("runs are searched by name, state, tag and text, and an error of the routes is shown", async ({
  page,
  service,
}) => {
  const asked: Record<string, string>[] = [];
  const run = (id: string): object => ({
    id,
    task: "test.order",
    queue: "default",
    state: "parked",
    args: [],
    tags: ["eu"],
    submittedAt: Date.now(),
    generation: 0,
    length: 3,
    unread: 0,
    deaths: 0,
  });
  await page.route(/\/runs\?/, async (route) => {
    const query = Object.fromEntries(new URL(route.request().url()).searchParams);
    asked.push(query);
    await route.fulfill({
      json:
        query["cursor"] === undefined
          ? { runs: [run("workflow.a")], searched: 1, next: "c1" }
          : { runs: [run("workflow.b")], searched: 1 },
    });
  });
  await page.goto(`${service.address}/#/runs`);
  await page.getByRole("link", { name: /workflow\.a/ }).waitFor();
  await page.getByRole("link", { name: "Older" }).click();
  await page.getByRole("link", { name: /workflow\.b/ }).waitFor();
  const form = page.getByRole("search", { name: "Durable runs" });
  await form.getByLabel("Text in a run").fill("ada");
  await form.getByLabel("Workflow").fill("test.order");
  await form.getByLabel("Tag").fill("eu");
  await form.getByLabel("State").selectOption("parked");
  await form.getByRole("button", { name: "Find runs" }).click();
  await expect
    .poll(() => asked, { timeout: 20_000 })
    .toContainEqual({ text: "ada", name: "test.order", tag: "eu", state: "parked", limit: "25" });
  // The run is not at the engine: the page shows the message of the route.
  page.removeAllListeners("console");
  await page.getByRole("link", { name: /workflow\.a/ }).click();
  await page
    .getByText(/There is no run workflow\.a in queue/)
    .first()
    .waitFor();
});

test("axe finds nothing in an open run, in light and in dark, and nothing is wider than 390 px", async ({
  browser,
  service,
  page,
}) => {
  const id = await submitOrder(service, "examined", 50);
  await page.close(); // The page's own policy admits no foreign script, so axe cannot be loaded into it.
  for (const [colorScheme, width] of [
    ["light", 1280],
    ["dark", 390],
  ] as const) {
    const examined = await browser!.newPage({
      bypassCSP: true,
      colorScheme,
      viewport: { width, height: 844 },
    });
    const run = await openRun(examined, service, id);
    await line(run, /test\.refuse.*failed/).waitFor();
    expect(await examined.evaluate<number>("document.documentElement.scrollWidth")).toBe(width);
    expect(await faintTexts(examined)).toEqual([]);
    await run.getByRole("button", { name: "Cancel run" }).click();
    await examined.getByRole("dialog").waitFor();
    expect(await violationsOf(examined)).toEqual([]);
    await examined.getByRole("button", { name: "Back" }).click();
    expect(await violationsOf(examined)).toEqual([]);
    await examined.close();
  }
});
