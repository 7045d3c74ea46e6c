import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { PrivatePostgres } from "../../test/support/private-postgres.ts";

/** PostgreSQL as it is by default, with the counts of statements. */
const SETTINGS =
  "-c shared_preload_libraries=pg_stat_statements -c max_connections=200 -c shared_buffers=256MB";

/** The statements that clients sent, the flushes of the server, and the bytes of the statements in the write-ahead log. */
export interface Counts {
  readonly statements: number;
  /** The statements that call the append of a journal. */
  readonly appends: number;
  readonly flushes: number;
  readonly walBytes: number;
}

/** A PostgreSQL server of the bench's own, which counts. Each database is empty. */
export class CountingPostgres {
  readonly #server: PrivatePostgres;
  readonly #admin: pg.Client;

  private constructor(server: PrivatePostgres, admin: pg.Client) {
    this.#server = server;
    this.#admin = admin;
  }

  static async start(): Promise<CountingPostgres> {
    const server = await PrivatePostgres.start(SETTINGS);
    const admin = new pg.Client({ connectionString: server.url });
    await admin.connect();
    await admin.query("CREATE EXTENSION pg_stat_statements");
    return new CountingPostgres(server, admin);
  }

  /** Creates a database, and returns its address. */
  async database(name: string): Promise<string> {
    await this.#admin.query(`CREATE DATABASE ${name}`);
    return new URL(name, this.#server.url).href;
  }

  async drop(name: string): Promise<void> {
    await this.#admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  }

  /**
   * Returns the counts of a database so far. A session reports its flushes at its end, so the processes that are counted
   * must have ended; the statements are reported at once.
   */
  async counts(database: string): Promise<Counts> {
    while ((await this.#number("SELECT count(*) FROM pg_stat_activity WHERE datname = $1", database)) > 0)
      await delay(20);
    return {
      statements: await this.#number(sumOf("calls"), database),
      appends: await this.appends(database),
      flushes: await this.#number("SELECT wal_sync FROM pg_stat_wal WHERE $1::text IS NOT NULL", database),
      walBytes: await this.#number(sumOf("wal_bytes"), database),
    };
  }

  /** Returns the number of appends so far, also while their processes run. */
  async appends(database: string): Promise<number> {
    return await this.#number(`${sumOf("calls")} AND s.query ILIKE '%append%'`, database);
  }

  async #number(query: string, database: string): Promise<number> {
    const { rows } = await this.#admin.query<[string | null]>({
      text: query,
      values: [database],
      rowMode: "array",
    });
    return Number(rows[0]?.[0] ?? 0);
  }

  async stop(): Promise<void> {
    await this.#admin.end();
    await this.#server.stop();
  }
}

/** Returns the query of the sum of one count over all statements of a database. */
function sumOf(count: string): string {
  return `SELECT sum(s.${count}) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = $1`;
}
