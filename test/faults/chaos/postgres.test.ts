import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { folderTest } from "../../support/files.ts";
import { PrivatePostgres } from "../../support/private-postgres.ts";
import { full } from "../support/fault-test.ts";
import { chaosRun } from "./chaos-run.ts";
import type { Fault } from "./chaos-run.ts";
import { workerFaults } from "./worker-faults.ts";

const test = folderTest.extend<{ postgres: PrivatePostgres }>({
  postgres: async ({ skip }, use) => {
    let postgres: PrivatePostgres;
    try {
      postgres = await PrivatePostgres.start();
    } catch (error) {
      return skip(
        `no PostgreSQL server of the test's own (Debian: apt-get install postgresql): ${String(error)}`,
      );
    }
    await use(postgres);
    await postgres.stop();
  },
});

/** Runs statements on a session of its own, which the faults recognise by its name and spare. */
async function asAdmin(url: string, ...statements: readonly string[]): Promise<void> {
  // A fault may have set a timeout for all sessions, and this session repairs it.
  const options = "-c statement_timeout=0";
  const client = new pg.Client({ connectionString: url, application_name: "chaos", options });
  client.on("error", () => {}); // the server may be killed meanwhile
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

const terminateAll =
  "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name <> 'chaos' AND backend_type = 'client backend'";

/**
 * Locks running jobs one after another in a random order, as a careless statement of another program would.
 */
async function lockAtRandom(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, application_name: "chaos" });
  client.on("error", () => {});
  await client.connect();
  try {
    await client.query("BEGIN");
    for (let count = 0; count < 20; count++) {
      await client.query(
        "SELECT 1 FROM bullmq.job WHERE id IN (SELECT id FROM bullmq.job WHERE state IN ('active', 'waiting') ORDER BY random() LIMIT 1) FOR UPDATE",
      );
    }
    await client.query("COMMIT");
  } catch (error) {
    if ((error as { code?: string }).code !== "40P01") throw error; // this session was the victim of the deadlock
  } finally {
    await client.end();
  }
}

const faults: Readonly<Record<string, (postgres: PrivatePostgres) => Fault>> = {
  ...workerFaults,
  "every session terminated": (postgres) => async () => {
    await asAdmin(postgres.url, terminateAll);
    await delay(1_000);
  },
  "killed and restarted": (postgres) => async (workers) => {
    await delay(5_000);
    await workers.withoutEngine(async () => {
      await postgres.kill();
      await delay(1_000);
      await postgres.restart();
    });
  },
  "statement timeouts": (postgres) => async () => {
    await asAdmin(postgres.url, "ALTER SYSTEM SET statement_timeout = '3ms'", "SELECT pg_reload_conf()");
    await delay(2_000);
    await asAdmin(
      postgres.url,
      "SET statement_timeout = 0",
      "ALTER SYSTEM RESET statement_timeout",
      "SELECT pg_reload_conf()",
    );
    await delay(2_000);
  },
  deadlocks: (postgres) => async () => {
    await Promise.all([lockAtRandom(postgres.url), lockAtRandom(postgres.url)]);
  },
};

for (const [name, makeFault] of full ? Object.entries(faults) : []) {
  test(`chaos on PostgreSQL: ${name}`, { timeout: 600_000 }, async ({ postgres, folder }) => {
    await chaosRun(`postgres, ${name}`, postgres.url, folder, makeFault(postgres));
  });
}

test("chaos on PostgreSQL: every fault in turn", { timeout: 600_000 }, async ({ postgres, folder }) => {
  await chaosRun("postgres, mixed", postgres.url, folder, async (workers) => {
    await asAdmin(postgres.url, terminateAll);
    await Promise.all([lockAtRandom(postgres.url), lockAtRandom(postgres.url)]);
    await workers.replaceOldest();
    await workers.withoutEngine(async () => {
      await postgres.kill();
      await postgres.restart();
      await delay(1_000); // Sessions are opened again.
    });
  });
});
