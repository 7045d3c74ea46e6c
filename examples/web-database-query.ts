// A database query through a pool. The pool is created once. A pool in the handler is a common mistake: every
// request would open connections that are never closed, until the server accepts no more. Needs a MariaDB or
// MySQL: DATABASE_URL=mysql://root@127.0.0.1:3306/test
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { createPool } from "mysql2/promise";
import type { Pool, PoolConnection, RowDataPacket } from "mysql2/promise";
import { CancelledError, ensureFuture, run } from "@taskloom/loop";
import { asTask, serve } from "./web-request-is-a-task.ts";

/**
 * Runs `use` with a connection of the pool. If the call is cancelled, the query also ends in the database.
 */
async function withConnection<T>(pool: Pool, use: (connection: PoolConnection) => Promise<T>): Promise<T> {
  const connection = await pool.getConnection();
  try {
    // A promise cannot be cancelled, but the wait for it can: as a future, the await ends at once.
    const result = await ensureFuture(use(connection));
    connection.release();
    return result;
  } catch (error) {
    // The connection is in the middle of a query. It must not return to the pool, and the database must end
    // the query.
    connection.destroy();
    if (error instanceof CancelledError) await pool.query("KILL ?", [connection.threadId]).catch(() => {});
    throw error;
  }
}

export function databaseApp(pool: Pool): FastifyInstance {
  const app = Fastify();
  app.get(
    "/db_query",
    asTask(async () => {
      const [rows] = await withConnection(pool, (connection) =>
        connection.query<RowDataPacket[]>("SELECT id, name FROM users ORDER BY id"),
      );
      return rows.map((row) => JSON.stringify(row)).join("\n");
    }),
  );
  app.get(
    "/slow_query",
    asTask(async () => {
      await withConnection(pool, (connection) => connection.query("SELECT SLEEP(60)"));
      return "slept";
    }),
  );
  app.addHook("onClose", () => pool.end());
  return app;
}

if (import.meta.main) {
  const uri = process.env["DATABASE_URL"] ?? "mysql://root@127.0.0.1:3306/test";
  await run(() => serve(databaseApp(createPool({ uri, connectionLimit: 4 }))));
}
