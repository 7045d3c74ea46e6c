import { setTimeout as delay } from "node:timers/promises";
import { openEngine } from "@taskloom/queue";
import { expect, onTestFinished, test } from "vitest";
import { postgresTest, testPool } from "../../../test/support/postgres.ts";
import { StalledCheck } from "../src/consumer/stalled-check.ts";

const RESTING_MS = 200;

/** Starts the checks of a lane. The log has `check` for each check, and `question` for each question whether it is idle. */
function logOf(isIdle: () => boolean, fails: () => boolean = () => false): { what: string; at: number }[] {
  const log: { what: string; at: number }[] = [];
  const note = (what: string): void => void log.push({ what, at: performance.now() });
  const check = new StalledCheck({
    interval: 5,
    recover: async () => {
      note("check");
      if (fails()) throw new Error("no answer");
    },
    onError: () => {},
    resting: {
      interval: RESTING_MS,
      isIdle: async () => {
        note("question");
        return isIdle();
      },
    },
  });
  onTestFinished(() => check.stop());
  return log;
}

const whatOf = (log: readonly { what: string }[]): string[] => log.map(({ what }) => what);

test("a lane without running jobs is checked again after the long interval, and is asked each time", async () => {
  const log = logOf(() => true);
  await expect.poll(() => log.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(6);
  expect(whatOf(log).slice(0, 6)).toEqual(["check", "question", "check", "question", "check", "question"]);
  const [first, second, third] = log.filter(({ what }) => what === "check").map(({ at }) => at);
  for (const pause of [second! - first!, third! - second!]) expect(pause).toBeGreaterThan(RESTING_MS - 5);
});

test("a busy lane is asked at each eleventh check whether it is idle", async () => {
  const log = logOf(() => false);
  await expect.poll(() => log.length, { timeout: 20_000, interval: 10 }).toBeGreaterThan(24);
  const checks = (count: number): string[] => Array.from({ length: count }, () => "check");
  expect(whatOf(log).slice(0, 25)).toEqual(["check", "question", ...checks(11), "question", ...checks(11)]);
});

test("a check that fails is repeated without the question", async () => {
  let fails = true;
  const log = logOf(
    () => true,
    () => fails,
  );
  await expect.poll(() => log.length, { timeout: 20_000, interval: 10 }).toBeGreaterThan(2);
  expect(whatOf(log)).not.toContain("question");
  fails = false;
  await expect.poll(() => whatOf(log), { timeout: 20_000, interval: 10 }).toContain("question");
  const asked = log.length;
  await delay(RESTING_MS / 4);
  expect(log).toHaveLength(asked);
});

postgresTest("PostgreSQL counts running jobs by the index of running jobs", async ({ postgres }) => {
  const engine = openEngine(postgres);
  await engine.connect();
  const pool = testPool({ connectionString: postgres, max: 1 });
  await pool.query("SET enable_seqscan = off");
  const { rows } = await pool.query<{ "QUERY PLAN": string }>(
    "EXPLAIN SELECT count(*) FROM bullmq.job WHERE queue = 'q' AND state = 'active'",
  );
  expect(rows.map((row) => row["QUERY PLAN"]).join("\n")).toContain("job_active_idx");
  await pool.end();
  await engine.close();
});
