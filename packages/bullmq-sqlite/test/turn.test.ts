import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Database, createSqliteBackend } from "@taskloom/bullmq-sqlite";
import type { RunEnd, SqliteQueueBackend } from "@taskloom/bullmq-sqlite";
import { expect, test as base } from "vitest";

/** Operations that are called without a pause between them travel to the database in one turn. */
const test = base.extend<{ path: string; backend: SqliteQueueBackend }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
  path: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), "bullmq-sqlite-"));
    await use(join(folder, "jobs.sqlite"));
    await rm(folder, { recursive: true, force: true });
  },
  backend: async ({ path }, use) => {
    const backend = createSqliteBackend("turn", { connection: { path } }, {});
    await backend.waitUntilReady();
    await use(backend);
    await backend.close();
  },
});

const job = { name: "job", data: "{}", opts: {} } as never;

const endOf = (id: string, token: string): RunEnd => ({
  id,
  token,
  outcome: "completed",
  text: '"done"',
  finishedOn: Date.now(),
  keep: { count: 100 },
});

const ids = (jobs: readonly { readonly id: string }[]): string[] => jobs.map(({ id }) => id);

async function addMany(backend: SqliteQueueBackend, ...names: readonly string[]): Promise<void> {
  await backend.addJobs(names.map((jobId) => ({ job, jobId })));
}

test("the code that added a job goes on before the job, even if one turn adds and claims it", async ({
  backend,
}) => {
  const order: string[] = [];
  const adds = async (): Promise<void> => {
    await backend.addJob(job, "one");
    // As many steps as may lie between the backend and a user's code.
    for (let step = 0; step < 50; step++) await Promise.resolve();
    order.push("added");
  };
  const claims = async (): Promise<void> => {
    const [, id] = await backend.moveToActive("token");
    order.push(`claimed ${id}`);
  };
  await Promise.all([adds(), claims()]);
  expect(order).toEqual(["added", "claimed one"]);
});

test("a turn stores ends and claims the next jobs in their order", async ({ backend }) => {
  await addMany(backend, "one", "two", "three", "four");
  const first = await backend.turn([], { count: 2, token: "a" });
  expect(ids(first.jobs)).toEqual(["one", "two"]);
  const ends = [endOf("one", "a"), { ...endOf("two", "a"), outcome: "failed", text: "no" } as const];
  const second = await backend.turn(ends, { count: 5, token: "b" });
  expect(second).toMatchObject({ refusals: [undefined, undefined], limitedFor: 0, nextDue: 0 });
  expect(ids(second.jobs)).toEqual(["three", "four"]);
  expect(await backend.getState("one")).toBe("completed");
  expect(await backend.getState("two")).toBe("failed");
});

test("a function of a user runs in the step of a stored end, and its error undoes nothing else", async ({
  path,
  backend,
}) => {
  const module = new URL("./fixtures/totals.ts", import.meta.url).href;
  const adds = (amount: number) => ({ module, name: "add", args: ["turn", amount, 3] });
  await addMany(backend, "one", "two", "three");
  await backend.addJob({ ...(job as object), delay: 60_000, opts: { delay: 60_000 } } as never, "later");
  await backend.turn([], { count: 3, token: "a" });
  const database = Database.use({ path, sync: "full" });
  const messages: string[][] = [];
  database.on("message", (channel, text) => messages.push([channel, text]));
  const ends = [
    { ...endOf("one", "a"), call: adds(2) },
    { ...endOf("two", "other"), call: adds(1) }, // Refused, so its function does not run.
    { ...endOf("three", "a"), call: adds(5) },
  ];
  const { refusals, callErrors } = await backend.turn(ends, undefined);
  expect(refusals.map((error) => error === undefined)).toEqual([true, false, true]);
  expect(callErrors?.map((error) => error?.message)).toEqual([undefined, undefined, "7 is more than 3"]);
  expect(await backend.getState("three")).toBe("completed");
  expect(messages).toEqual([["totals", "2"]]);
  // The function promotes a job before the same turn claims.
  const last = await backend.turn([{ ...endOf("two", "a"), call: adds(1) }], { count: 1, token: "b" });
  expect(last.callErrors).toBeUndefined();
  expect(ids(last.jobs)).toEqual(["later"]);
  await database.close();
});

test("a turn refuses each end alone, with BullMQ's error", async ({ backend }) => {
  await addMany(backend, "one", "two");
  await backend.turn([], { count: 1, token: "a" });
  const ends = [endOf("one", "other"), endOf("two", "a"), endOf("none", "a"), endOf("one", "a")];
  const { refusals } = await backend.turn(ends, undefined);
  expect(refusals.map((error) => error?.message)).toEqual([
    "Lock mismatch for job one. Cmd moveToFinished from active",
    "Job two is not in the active state. moveToFinished",
    "Missing key for job none. moveToFinished",
    undefined,
  ]);
});

test("a count of 0 removes the job that ends, and no other one", async ({ backend }) => {
  await addMany(backend, "one", "two");
  await backend.turn([], { count: 2, token: "a" });
  await backend.turn([endOf("one", "a"), { ...endOf("two", "a"), keep: { count: 0 } }], undefined);
  expect(await backend.getState("one")).toBe("completed");
  expect(await backend.getState("two")).toBe("unknown");
});

test("a job that was claimed during a wait is returned at once, and has the token of the turn", async ({
  backend,
}) => {
  const wait = backend.waitForJob(60);
  await backend.addJob(job, "one");
  await wait;
  expect(backend.hasAwaitedJob).toBe(true);
  let hasJob = false;
  const turn = backend.turn([], { count: 1, token: "a" }).finally(() => (hasJob = true));
  for (let step = 0; step < 5; step++) await Promise.resolve(); // The thread cannot answer so early.
  expect(hasJob).toBe(true);
  expect(ids((await turn).jobs)).toEqual(["one"]);
  expect(backend.hasAwaitedJob).toBe(false);
  const { refusals } = await backend.turn([endOf("one", "a")], undefined);
  expect(refusals).toEqual([undefined]);
});

test("a job that was claimed during a wait is the first one of a larger claim", async ({ backend }) => {
  await addMany(backend, "one");
  await backend.turn([], { count: 1, token: "a" });
  const wait = backend.waitForJob(60);
  await addMany(backend, "two", "three");
  await wait;
  const { refusals, jobs } = await backend.turn([endOf("one", "a")], { count: 5, token: "b" });
  expect(refusals).toEqual([undefined]);
  expect(ids(jobs)).toEqual(["two", "three"]);
});

test("the code that added a job goes on before a turn that claims the job", async ({ backend }) => {
  const order: string[] = [];
  const adds = async (): Promise<void> => {
    await backend.addJob(job, "one");
    for (let step = 0; step < 50; step++) await Promise.resolve();
    order.push("added");
  };
  const claims = async (): Promise<void> => {
    const { jobs } = await backend.turn([], { count: 3, token: "a" });
    order.push(...ids(jobs));
  };
  await Promise.all([adds(), claims()]);
  expect(order).toEqual(["added", "one"]);
});

test("a turn that finds no job does not wait for the transaction of another process", async ({
  path,
  backend,
}) => {
  await backend.addJob({ ...(job as object), delay: 60_000, opts: { delay: 60_000 } } as never, "later");
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  try {
    const { jobs, nextDue } = await backend.turn([], { count: 3, token: "a" });
    expect(jobs).toEqual([]);
    expect(nextDue).toBeGreaterThan(Date.now());
  } finally {
    other.exec("ROLLBACK");
    other.close();
  }
});

test("the ends and the claims of turns count towards the limit of a transaction", async ({
  path,
  backend,
}) => {
  const names = Array.from({ length: 900 }, (_, index) => `job-${index}`);
  await addMany(backend, ...names);
  await backend.turn([], { count: 900, token: "a" });
  const database = Database.use({ path, sync: "full" });
  const before = await database.statements([["SELECT count(*) AS n FROM event"]]);
  const parts = [names.slice(0, 300), names.slice(300, 600), names.slice(600)];
  const turns = await Promise.all(
    parts.map((part) =>
      backend.turn(
        part.map((id) => endOf(id, "a")),
        undefined,
      ),
    ),
  );
  expect(turns.flatMap(({ refusals }) => refusals).filter((error) => error !== undefined)).toEqual([]);
  const after = await database.statements([["SELECT count(*) AS n FROM event"]]);
  await database.close();
  // A transaction stores its events as one row.
  expect(Number(after[0]?.rows[0]?.["n"]) - Number(before[0]?.rows[0]?.["n"])).toBe(3);
});
