// A database query through a pool. The pool is made once: made in the handler, as one often sees it, every
// request would open connections that nobody closes, until the server takes no more.
// Needs a MariaDB or MySQL: DATABASE_URL=mysql://root@127.0.0.1:3306/test
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { createPool } from "mysql2/promise";
import type { Pool, PoolConnection, RowDataPacket } from "mysql2/promise";
import { CancelledError, ensureFuture, run } from "@taskloom/loop";
import { asTask, serve } from "./web-request-is-a-task.ts";

/** Runs `use` with a connection of the pool. If that is cancelled, the query ends in the database too. */
async function withConnection<T>(pool: Pool, use: (connection: PoolConnection) => Promise<T>): Promise<T> {
  const connection = await pool.getConnection();
  try {
    // A promise cannot be cancelled. As a future, waiting for it can: the await ends at once.
    const result = await ensureFuture(use(connection));
    connection.release();
    return result;
  } catch (error) {
    // It is in the middle of a query: nobody else may have it, and the database would work on for nobody.
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
