import pg from "pg";

/** What a row has to be for a statement to be refused, as SQL over `new` and `old`. */
export interface Refusal {
  readonly table: "job" | "job_log" | "event" | "taskloom_log" | "taskloom_inbox";
  readonly event: "INSERT" | "UPDATE";
  readonly when: string;
  /** The SQLSTATE of the refusal. */
  readonly code: string;
  readonly times?: number;
}

/** Has PostgreSQL refuse statements of BullMQ a number of times, by a trigger in the database of a test. */
export class Refusals implements AsyncDisposable {
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async at(url: string): Promise<Refusals> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return new Refusals(client);
  }

  /** From now on; replaces the refusal before. */
  async add({ table, event, when, code, times = 1 }: Refusal): Promise<void> {
    await this.remove();
    await this.#client.query(`
      CREATE SEQUENCE public.refusals;
      CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF ${when} AND nextval('public.refusals') <= ${times} THEN
          RAISE EXCEPTION 'refused by a test' USING errcode = '${code}';
        END IF;
        RETURN new;
      END $$;
      CREATE TRIGGER refuse BEFORE ${event} ON bullmq.${table} FOR EACH ROW EXECUTE FUNCTION public.refuse()`);
  }

  /** How many statements were refused. */
  async count(): Promise<number> {
    const { rows } = await this.query("SELECT last_value, is_called FROM public.refusals");
    return rows[0]?.["is_called"] === true ? Number(rows[0]["last_value"]) : 0;
  }

  async query(text: string, params?: unknown[]): Promise<pg.QueryResult<Record<string, unknown>>> {
    return await this.#client.query(text, params);
  }

  async remove(): Promise<void> {
    await this.#client.query(
      "DROP FUNCTION IF EXISTS public.refuse CASCADE; DROP SEQUENCE IF EXISTS public.refusals",
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
    await this.#client.end();
  }
}
