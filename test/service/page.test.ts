import { expect } from "vitest";
import { axe, contrastsOfText, test } from "./browser-page.ts";

test("the live page shows workers, running tasks and failed jobs, and does what its buttons say", async ({
  page,
  service,
}) => {
  const { id } = await service.submit("test.wait", 120_000);
  const failed = await service.submit("test.fail", "<b>no disk</b>");
  await service.job(failed.id, 10);
  await page.goto(service.address);

  await page.getByRole("heading", { name: "Workers" }).waitFor();
  await page.locator(".worker canvas").waitFor();
  await page.getByRole("img", { name: /loop delay now/ }).waitFor();
  await page.getByRole("treeitem", { name: new RegExp(id) }).waitFor();
  await page.getByRole("treeitem", { name: /inner/ }).last().waitFor();
  // The texts of a job are shown as text and never become markup.
  await page.getByRole("cell", { name: /UnrecoverableError <b>no disk<\/b>/ }).waitFor();

  await page.getByLabel("Id, task or argument").fill("NO DISK");
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByRole("link", { name: failed.id }).waitFor();

  await page.getByRole("button", { name: "Pause queue default" }).click();
  await page.getByRole("button", { name: "Resume queue default" }).waitFor();
  expect(await (await service.ask("GET", "/queues")).json()).toMatchObject({ default: { isPaused: true } });
  await page.getByRole("button", { name: "Retry 1 of test.fail" }).click();
  await expect.poll(async () => (await service.job(failed.id)).state, { timeout: 20_000 }).toBe("waiting");
  await page.getByRole("button", { name: "Resume queue default" }).click();

  await page.getByRole("button", { name: `Cancel test.wait ${id}` }).click();
  expect(await service.job(id, 10)).toMatchObject({ state: "cancelled", reason: "live page" });
});

test("the tree is walked and jobs are cancelled by keyboard alone", async ({ page, service }) => {
  const { id } = await service.submit("test.wait", 120_000);
  await page.goto(service.address);
  const item = page.getByRole("treeitem", { name: new RegExp(id) });
  const inner = page.getByRole("treeitem", { name: /inner/ });
  await inner.last().waitFor();
  await page.keyboard.press("Tab");
  expect(await page.evaluate<string>("document.activeElement.textContent")).toBe("Skip to content");
  await item.focus();
  await page.keyboard.press("ArrowLeft");
  expect(await item.getAttribute("aria-expanded")).toBe("false");
  expect(await page.locator("[role=treeitem] [role=treeitem]").isVisible()).toBe(false);
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  const focused = (): Promise<string> =>
    page.evaluate<string>(`document.activeElement.querySelector("strong")?.textContent`);
  expect(await focused()).toBe("inner");
  // The page is redrawn every second; the position in the tree stays.
  const before = await inner.last().textContent();
  await expect.poll(async () => await inner.last().textContent(), { timeout: 20_000 }).not.toBe(before);
  expect(await focused()).toBe("inner");
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Delete");
  expect(await service.job(id, 10)).toMatchObject({ state: "cancelled" });
});

test("failed jobs are paged through, and a group that two pages have is one row", async ({
  page,
  service,
}) => {
  const group = (task: string, message: string): object => ({
    key: task,
    task,
    error: { name: "Error", message },
    count: 2,
    lastAt: Date.now(),
    ids: [],
  });
  const pages = {
    first: { groups: [group("test.fail", "no disk 1")], searched: 2, next: "c1" },
    second: { groups: [group("test.fail", "no disk 2"), group("test.old", "old")], searched: 4 },
  };
  await page.route(/\/failed(\?.*)?$/, async (route) => {
    const isSecond = new URL(route.request().url()).searchParams.get("cursor") === "c1";
    await route.fulfill({ json: isSecond ? pages.second : pages.first });
  });
  await page.goto(service.address);
  await page.getByRole("cell", { name: /no disk 1/ }).waitFor();
  expect(await page.getByRole("cell", { name: /old/ }).count()).toBe(0);
  await page.getByRole("button", { name: "Show more failed jobs" }).click();
  await page.getByRole("cell", { name: "Error old" }).waitFor();
  await page.getByRole("button", { name: "Retry 4 of test.fail" }).waitFor();
  await page.getByText("1 live worker", { exact: true }).waitFor();
});

test("text is readable in light and in dark", async ({ page, service }) => {
  const { id } = await service.submit("test.wait", 60_000);
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    await page.goto(service.address);
    await page.getByRole("treeitem", { name: new RegExp(id) }).waitFor();
    const contrasts = await page.evaluate<{ text: string; contrast: number }[]>(contrastsOfText);
    expect(contrasts.length).toBeGreaterThan(20);
    // WCAG 2.2 AA for text of normal size.
    expect(contrasts.filter(({ contrast }) => contrast < 4.5)).toEqual([]);
  }
  await service.ask("DELETE", `/jobs/${id}`);
});

test("axe finds nothing that keeps anybody out, in light and in dark", async ({ browser, service, page }) => {
  const { id } = await service.submit("test.wait", 60_000);
  const failed = await service.submit("test.fail", "no disk");
  await service.job(failed.id, 10);
  await page.close(); // The page's own policy admits no foreign script, so axe cannot be loaded into it.
  for (const colorScheme of ["light", "dark"] as const) {
    const examined = await browser!.newPage({ bypassCSP: true, colorScheme });
    await examined.goto(service.address);
    await examined.getByRole("treeitem", { name: new RegExp(id) }).waitFor();
    await examined.getByRole("button", { name: "Retry 1 of test.fail" }).first().waitFor();
    await examined.getByRole("button", { name: "Search" }).click();
    await examined.getByRole("link", { name: id }).waitFor();
    await examined.addScriptTag({ content: axe });
    const { violations } = await examined.evaluate<{
      violations: { id: string; nodes: { html: string }[] }[];
    }>("axe.run()");
    expect(violations.map((found) => [found.id, found.nodes.map(({ html }) => html)])).toEqual([]);
    await examined.close();
  }
  await service.ask("DELETE", `/jobs/${id}`);
});

test("bull-board shows the jobs, from the package alone", async ({ page, service }) => {
  const { id } = await service.submit("test.add", 1, 2);
  await service.job(id, 10);
  await page.goto(`${service.address}/board/queue/default.loop?status=completed`);
  await page.getByText(id).first().waitFor();
});
