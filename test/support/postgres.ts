import { randomUUID } from "node:crypto";
import { userInfo } from "node:os";
import pg from "pg";
import { test } from "vitest";

/**
 * A pool that belongs to one test. `pool.end()` resolves before its connections are closed, and the database
 * is dropped with force. Without a listener, the server's last message would end the test's process.
 */
export function testPool(config: pg.PoolConfig): pg.Pool {
  return new pg.Pool(config).on("error", () => {});
}

const missing =
  "no PostgreSQL: set TASKLOOM_TEST_POSTGRES_URL, or run one on 127.0.0.1:5432 that lets this user create databases";

/**
 * A test with a PostgreSQL database for its file, on the server of TASKLOOM_TEST_POSTGRES_URL or on the
 * loopback address. Without a server the test is skipped, and the run says so at its end.
 */
export const postgresTest = test.extend<{
  $file: { database: string | undefined };
  $test: { postgres: string };
}>({
  database: [
    // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
    async ({}, use) => {
      const url = new URL(process.env["TASKLOOM_TEST_POSTGRES_URL"] ?? "postgres://127.0.0.1:5432/postgres");
      if (url.username === "") url.username = userInfo().username;
      // A missing server refuses at once; a busy one takes its time to start a process for the connection.
      const server = new pg.Client({ connectionString: url.href, connectionTimeoutMillis: 30_000 });
      const name = `taskloom_test_${randomUUID().slice(0, 8)}`;
      const made = await server
        .connect()
        .then(() => server.query(`CREATE DATABASE ${name}`))
        // No test of a shared server kills it, so no commit has to wait for the disk.
        .then(() => server.query(`ALTER DATABASE ${name} SET synchronous_commit = off`))
        .then(() => true)
        .catch(() => false);
      const database = new URL(`/${name}`, url).href;
      await use(made ? database : undefined);
      if (made) await server.query(`DROP DATABASE ${name} WITH (FORCE)`);
      await server.end().catch(() => {});
    },
    { scope: "file" },
  ],
  postgres: async ({ database, skip }, use) => {
    if (database === undefined) return skip(missing);
    await use(database);
  },
});
