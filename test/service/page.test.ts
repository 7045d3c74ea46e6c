import type { Page } from "playwright-core";
import { expect, vi } from "vitest";
import { faintTexts, test, violationsOf } from "./browser-page.ts";
import type { Mounted } from "./browser-page.ts";
import { add, count, fail, flaky, wait } from "./fixtures/tasks.ts";

// A browser on a loaded machine of two cores takes minutes for what takes seconds on a quiet one.
vi.setConfig({ testTimeout: 300_000 });

const view = (mounted: Mounted, path: string): string => `${mounted.address}#/${path}`;

/** Submits a job that fails, and returns its id after its end. */
async function failedJob({ queue }: Mounted, message: string): Promise<string> {
  const submitted = queue.submit(fail, message);
  await submitted.catch(() => {});
  return submitted.id;
}

async function stateOf({ queue }: Mounted, id: string): Promise<string | undefined> {
  return (await queue.states([id])).get(id);
}

async function row(page: Page, text: RegExp | string): Promise<string> {
  return (await page.getByRole("row").filter({ hasText: text }).first().textContent()) ?? "";
}

test("the overview shows the activity, the queues, running jobs with their progress and the latest failures", async ({
  panel: page,
  mounted,
}) => {
  const running = mounted.queue.submit(count, 10_000, 50);
  running.catch(() => {});
  // The texts of a job are shown as text and never become markup.
  await failedJob(mounted, "<b>no disk</b>");
  await page.goto(mounted.address);
  await page.getByRole("img", { name: /^Throughput: completed/ }).waitFor();
  await page.getByRole("img", { name: /^Queue depth: waiting/ }).waitFor();
  await page.locator(".charts canvas").first().waitFor();
  await page.getByRole("progressbar", { name: `Progress of ${running.id}` }).waitFor();
  await page.getByRole("link", { name: /1 ?test\.fail ?UnrecoverableError <b>no disk<\/b>/ }).waitFor();
  await page.getByText("1 live worker", { exact: true }).waitFor();
  await page.getByRole("link", { name: "7 days" }).click();
  await expect.poll(() => page.url(), { timeout: 20_000 }).toContain("range=7d");

  await page.getByRole("button", { name: "Pause queue default" }).click();
  await page.getByRole("button", { name: "Resume queue default" }).click();
  await page.getByRole("button", { name: "Pause queue default" }).waitFor();
  await page.getByRole("link", { name: "1 active jobs of default.loop" }).click();
  await page.getByRole("link", { name: `test.count ${running.id}` }).waitFor();
  expect(page.url()).toContain("state=active");
});

test("jobs are filtered by task, state, tag, time and text; the address has the filter and the page", async ({
  panel: page,
  mounted,
}) => {
  const { queue } = mounted;
  for (let index = 0; index < 52; index++) await queue.submit(add, index, 0);
  const tagged = queue.with({ tags: ["eu"] }).submit(add, "Ada" as never, "!" as never);
  await tagged;
  await failedJob(mounted, "no disk");
  await page.goto(view(mounted, "jobs"));
  await page.getByText("50 shown").waitFor();
  await page.getByRole("link", { name: "Older" }).click();
  await page.getByText("4 shown").waitFor();
  await page.goBack();
  await page.getByText("50 shown").waitFor();
  await page
    .getByRole("link", { name: /^failed/ })
    .last()
    .click();
  await page.getByText("1 shown").waitFor();
  expect(await row(page, "no disk")).toContain("test.fail");

  await page.getByRole("link", { name: "all" }).click();
  await page.getByLabel("Tag").fill("eu");
  await page.getByRole("combobox", { name: "Task" }).fill("test.add");
  await page.getByLabel("Id, task or argument").fill("ADA");
  await page.getByLabel("Submitted").selectOption("last hour");
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByText("1 shown").waitFor();
  await page.getByRole("link", { name: `test.add ${tagged.id}` }).waitFor();
  // The address alone brings the same list.
  const address = page.url();
  expect(new URLSearchParams(address.split("?")[1])).toEqual(
    new URLSearchParams("text=ADA&task=test.add&tag=eu&since=1h"),
  );
  await page.goto("about:blank");
  await page.goto(address);
  await page.getByRole("link", { name: `test.add ${tagged.id}` }).waitFor();
  expect(await page.getByLabel("Submitted").inputValue()).toBe("1h");
  await page.getByRole("link", { name: "Clear" }).click();
  await page.getByText("50 shown").waitFor();
});

test("the page of a job shows arguments, times, log and result, and cancels and retries", async ({
  panel: page,
  mounted,
}) => {
  const { queue } = mounted;
  const done = queue.submit(count, 3, 5);
  await done;
  await page.goto(view(mounted, `jobs/${done.id}?queue=default`));
  await page.getByRole("heading", { name: `Job ${done.id}` }).waitFor();
  expect(await page.getByLabel("Arguments").textContent()).toBe("[\n  3,\n  5\n]");
  expect(await page.getByLabel("Result").textContent()).toBe("3");
  await expect
    .poll(() => page.getByRole("log").textContent(), { timeout: 20_000 })
    .toBe("counted 1\ncounted 2\ncounted 3");
  for (const step of [/^submitted/, /^started \+/, /^completed \+/])
    await page.getByRole("listitem").filter({ hasText: step }).waitFor();

  const failed = await failedJob(mounted, "no disk");
  await page.goto(view(mounted, `jobs/${failed}`));
  await page.getByText("UnrecoverableError no disk").waitFor();
  await page.getByRole("button", { name: `Retry job ${failed}` }).click();
  await page.getByText("The job is retried.").waitFor();

  const tried = queue.with({ attempts: 2 }).submit(flaky, "no net");
  await tried.catch(() => {});
  await page.goto(view(mounted, `jobs/${tried.id}`));
  // The error of the last attempt stands above the others, with its stack.
  await page.getByLabel("Stack of RangeError").first().waitFor();
  for (const attempt of [1, 2])
    await page
      .getByRole("listitem")
      .filter({
        hasText: new RegExp(
          `^Attempt ${attempt} failed started .*, ended .*, ran .*attempt ${attempt}: no net`,
        ),
      })
      .waitFor();

  const running = queue.submit(wait, 86_400_000);
  running.catch(() => {});
  await page.goto(view(mounted, `jobs/${running.id}`));
  await page.getByText(/^runs for/).waitFor();
  await page.getByRole("button", { name: `Cancel job ${running.id}` }).click();
  // The focus is on the button that changes nothing.
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.keyboard.press("Enter");
  await page.getByLabel("Reason").fill("enough");
  await page.keyboard.press("Enter");
  await page.getByText("reason: enough").waitFor();

  const later = queue.with({ delay: 86_400_000 }).submit(add, 1, 2);
  await later.sent();
  await page.goto(view(mounted, `jobs/${later.id}`));
  await page.getByRole("button", { name: `Run now: job ${later.id}` }).click();
  await page.getByText("The job runs as soon as a worker is free.").waitFor();
  expect(await later).toBe(3);

  await page.getByRole("button", { name: `Remove job ${later.id}` }).click();
  await page.getByRole("button", { name: "Yes, remove the job" }).click();
  await page.getByText(`Job ${later.id} is removed.`).waitFor();
  await page.getByRole("heading", { name: "Jobs", exact: true }).waitFor();
  expect(await stateOf(mounted, later.id)).toBe("missing");

  page.removeAllListeners("console");
  await page.goto(view(mounted, "jobs/loop.none"));
  await page.getByText(/There is no job loop\.none in queue/).waitFor();
});

test("ended jobs of a state are removed after a question, by keyboard; a reader sees no button", async ({
  panel: page,
  mounted,
}) => {
  const { queue } = mounted;
  const kept = queue.submit(count, 1, 1);
  await Promise.all([kept, queue.submit(add, 1, 2), queue.submit(add, 3, 4)]);
  const failed = await failedJob(mounted, "no disk");
  await page.goto(view(mounted, "jobs?state=completed&task=test.add"));
  await page.getByText("2 shown").waitFor();
  const remove = page.getByRole("button", {
    name: "Remove all completed jobs of task test.add of all queues",
  });
  await remove.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Remove all completed jobs of task test.add?" }).waitFor();
  // The focus is on the button that changes nothing.
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await page.getByText("2 jobs removed.").waitFor();
  await page.getByText("No jobs found.").waitFor();
  expect(await queue.counts()).toMatchObject({ completed: 1, failed: 1 });
  expect(await stateOf(mounted, kept.id)).toBe("completed");

  // A list that the request cannot name has no button, nor has one of jobs that have not ended.
  const buttons = page.getByRole("main").getByRole("button", { name: /^Remove/ });
  for (const [query, jobs, shown] of [
    ["state=completed&text=test", 1, 0],
    ["state=completed&lane=loop", 1, 0],
    ["", 2, 0],
    ["state=failed&queue=default", 1, 1],
  ] as const) {
    await page.goto(view(mounted, `jobs?${query}`));
    // The list before stays until the next one is read.
    await page.getByText(`${jobs} shown`).waitFor();
    await expect.poll(() => buttons.count(), { message: query }).toBe(shown);
  }
  mounted.access = "read";
  await page.reload();
  await page.getByText("1 shown").waitFor();
  expect(await buttons.count()).toBe(0);
  await page.goto(view(mounted, `jobs/${failed}`));
  await page.getByText("UnrecoverableError no disk").waitFor();
  expect(await buttons.count()).toBe(0);
});

test("a group of failures opens, and its jobs are replayed after a question: chosen ones, and all", async ({
  panel: page,
  mounted,
}) => {
  const ids = [];
  for (const disk of [1, 2, 3]) ids.push(await failedJob(mounted, `no disk ${disk}`));
  await failedJob(mounted, "no net");
  await page.goto(view(mounted, "failed"));
  await page.getByRole("button", { name: /3 .*test\.fail.*no disk/ }).click();
  await page.getByRole("link", { name: `test.fail ${ids[2]}` }).waitFor();
  expect(page.url()).toContain("open=");
  expect(await page.getByRole("link", { name: /^test\.fail/ }).count()).toBe(3);
  await mounted.queue.pause();
  await page.getByLabel(`Choose job ${ids[0]}`).check();
  await page.getByRole("button", { name: "Replay 1 chosen jobs" }).click();
  await page.getByText("1 job replayed.").waitFor();
  expect(await stateOf(mounted, ids[0]!)).toBe("pending");

  await page.getByRole("button", { name: "Replay all 2 of test.fail" }).click();
  await page.getByRole("dialog", { name: "Replay 2 jobs of test.fail?" }).waitFor();
  await page.keyboard.press("Enter");
  expect(await stateOf(mounted, ids[1]!)).toBe("failed");
  await page.getByRole("button", { name: "Replay all 2 of test.fail" }).click();
  await page.getByRole("button", { name: "Yes, replay them" }).click();
  await page.getByText("2 jobs of test.fail replayed.").waitFor();
  expect(await stateOf(mounted, ids[2]!)).toBe("pending");
  await expect.poll(() => page.getByRole("button", { name: /no disk/ }).count(), { timeout: 20_000 }).toBe(0);
  expect(await page.getByRole("button", { name: /1 .*no net/ }).count()).toBe(1);
});

test("failed jobs are paged through, and a group that two pages have is one row", async ({
  panel: page,
  mounted,
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
  await page.goto(view(mounted, "failed"));
  await page.getByRole("button", { name: /no disk 1/ }).waitFor();
  expect(await page.getByRole("button", { name: /old/ }).count()).toBe(0);
  await page.getByRole("button", { name: "Show more failed jobs" }).click();
  await page.getByRole("button", { name: /Error old/ }).waitFor();
  await page.getByRole("button", { name: "Replay all 4 of test.fail" }).waitFor();
});

test("a schedule is run, paused, resumed and removed, and a reader sees no button", async ({
  panel: page,
  mounted,
}) => {
  const { queue } = mounted;
  await queue.schedule("nightly", { cron: "0 3 * * *", timezone: "Europe/Paris" }, add, 1, 2);
  await page.goto(view(mounted, "schedules"));
  expect(await row(page, "nightly")).toMatch(/test\.add.*0 3 \* \* \* Europe\/Paris.*in .*default/);
  await page.getByRole("button", { name: "Run now: schedule nightly" }).click();
  await page.getByText("Schedule nightly runs once more now.").waitFor();
  await expect.poll(async () => (await queue.counts()).completed, { timeout: 20_000 }).toBe(1);
  await page.getByRole("button", { name: "Pause schedule nightly" }).click();
  await page.getByRole("button", { name: "Resume schedule nightly" }).waitFor();
  expect(await queue.schedules()).toMatchObject([{ id: "nightly", isPaused: true, cron: "0 3 * * *" }]);
  await page.getByRole("button", { name: "Resume schedule nightly" }).click();
  await page.getByRole("button", { name: "Pause schedule nightly" }).waitFor();

  mounted.access = "read";
  await page.reload();
  await page.getByRole("link", { name: "nightly" }).waitFor();
  expect(await page.getByRole("main").getByRole("button").count()).toBe(0);
  mounted.access = "operate";
  await page.reload();
  await page.getByRole("button", { name: "Remove schedule nightly" }).click();
  await page.getByRole("button", { name: "Yes, remove it" }).click();
  await page.getByText(/No schedule is stored/).waitFor();
});

test.for([
  ["light", 1280],
  ["dark", 390],
] as const)(
  "each view passes axe, is readable and fits the screen, in %s on %i px",
  async ([colorScheme, width], { browser, mounted, panel }) => {
    await panel.close(); // The page's own policy admits no foreign script, so axe cannot be loaded into it.
    const { queue } = mounted;
    const failed = await failedJob(
      mounted,
      "no disk in the machine with a very long name that does not fit a line",
    );
    const tried = queue.with({ attempts: 2 }).submit(flaky, "no net");
    await tried.catch(() => {});
    const running = queue.with({ tags: ["eu"] }).submit(count, 10_000, 50);
    running.catch(() => {});
    await queue.schedule("nightly", { cron: "0 3 * * *" }, add, 1, 2);
    const page = await browser!.newPage({ bypassCSP: true, colorScheme, viewport: { width, height: 844 } });
    const examine = async (path: string, open: () => Promise<unknown>): Promise<void> => {
      await page.goto(view(mounted, path));
      await open();
      expect([path, await page.evaluate<number>("document.documentElement.scrollWidth")]).toEqual([
        path,
        width,
      ]);
      expect([path, await faintTexts(page)]).toEqual([path, []]);
      expect([path, await violationsOf(page)]).toEqual([path, []]);
    };
    await examine("", () => page.getByRole("progressbar").waitFor());
    await examine("jobs", () => page.getByText(/shown/).waitFor());
    await examine("jobs?state=failed", async () => {
      await page.getByRole("button", { name: "Remove all failed jobs of all queues" }).click();
      await page.getByRole("dialog").waitFor();
    });
    await page.getByRole("button", { name: "Back" }).click();
    await examine(`jobs/${failed}`, () => page.getByLabel("Stack of UnrecoverableError").waitFor());
    await examine(`jobs/${tried.id}`, () => page.getByText(/^Attempt 1/).waitFor());
    await examine(`jobs/${running.id}`, () => page.getByRole("log").waitFor());
    await examine("failed", async () => {
      await page
        .getByRole("button", { name: /no disk/ })
        .first()
        .click();
      await page.getByLabel(`Choose job ${failed}`).waitFor();
      await page.getByRole("button", { name: "Replay all 1 of test.fail" }).click();
      await page.getByRole("dialog").waitFor();
    });
    await page.getByRole("button", { name: "Back" }).click();
    await examine("schedules", () => page.getByRole("button", { name: "Remove schedule nightly" }).waitFor());
    await examine("runs", () => page.getByText("No durable run is found.").waitFor());
    await page.close();
  },
);

test("the views of workers and bull-board belong to a service; the tree is walked by keyboard alone", async ({
  browser,
  page,
  service,
}) => {
  const { id } = await service.submit("test.wait", 120_000);
  await page.goto(`${service.address}/#/workers`);
  await page.getByRole("img", { name: /loop delay now/ }).waitFor();
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

  for (const [colorScheme, width] of [
    ["light", 1280],
    ["dark", 390],
  ] as const) {
    const examined = await browser!.newPage({
      bypassCSP: true,
      colorScheme,
      viewport: { width, height: 844 },
    });
    await examined.goto(`${service.address}/#/workers`);
    await examined.getByRole("treeitem", { name: new RegExp(id) }).waitFor();
    expect(await examined.evaluate<number>("document.documentElement.scrollWidth")).toBe(width);
    expect(await faintTexts(examined)).toEqual([]);
    expect(await violationsOf(examined)).toEqual([]);
    await examined.close();
  }

  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Delete");
  expect(await service.job(id, 10)).toMatchObject({ state: "cancelled", reason: "live page" });
  await page.getByRole("link", { name: "bull-board" }).click();
  await page.goto(`${service.address}/board/queue/default.loop?status=completed`);
  await page.getByText(id).first().waitFor();
});
