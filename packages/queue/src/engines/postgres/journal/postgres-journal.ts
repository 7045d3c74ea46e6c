import { JOURNAL_PAGE, parkedUntil } from "../../../contract/run-journal.ts";
import type {
  AppendAnswer,
  Continuation,
  DeliverAnswer,
  Delivery,
  OpenedRun,
  ParkAnswer,
  ParkTerms,
  RunAppend,
  RunHead,
  RunJournal,
} from "../../../contract/run-journal.ts";
import type { Row } from "../../sql/rows.ts";
import { OwnFunctions } from "../driver/own-functions.ts";
import type { FunctionParts } from "../driver/own-functions.ts";
import { partsOf } from "../driver/parts.ts";
import { GatheredCalls } from "./gathered-calls.ts";
import {
  appendAnswer,
  appendAnswers,
  appendColumns,
  headOfRow,
  openedRun,
  sizeOfAppend,
  textsIn,
} from "./journal-rows.ts";
import { MAX_SWEPT } from "./other-functions.ts";

/** The start of the channels of owners. The id of a worker follows. */
export const DELIVER_CHANNEL = "taskloom_deliver_";

/** The parts of the engine that the journal needs. */
export interface JournalParts extends FunctionParts {
  /** Notifies a listener of the payloads of a channel. */
  readonly listen: (channel: string, listener: (payload: string) => void) => () => void;
  readonly now: () => number;
}

interface OpenCall {
  readonly id: string;
  readonly token: string;
  readonly from: number;
}

interface ParkCall {
  readonly id: string;
  readonly terms: ParkTerms;
}

/** The calls of one lane whose statements carry many runs. */
interface LaneCalls {
  readonly open: GatheredCalls<OpenCall, OpenedRun | undefined>;
  readonly park: GatheredCalls<ParkCall, ParkAnswer>;
}

/**
 * The journals of the runs in PostgreSQL: one statement and one commit for each operation, and for all runs of a lane that
 * are opened, or parked, at about the same time.
 */
export class PostgresJournal implements RunJournal {
  readonly #parts: JournalParts;
  readonly #functions: OwnFunctions;
  readonly #calls = new Map<string, LaneCalls>();
  /** The run up to which each lane was searched for journals without a job. */
  readonly #searched = new Map<string, string>();

  constructor(parts: JournalParts) {
    this.#parts = parts;
    this.#functions = new OwnFunctions(parts);
  }

  /**
   * Calls a function for many runs of one lane, and returns its rows by the place of their run. The rows of the runs are
   * locked by the bytes of their ids, as all functions of the journal do.
   *
   * @param columns the types and the values of the arguments behind the lane; the first one is the id.
   */
  async #callForEach(
    name: string,
    lane: string,
    columns: readonly (readonly [type: string, values: readonly unknown[]])[],
  ): Promise<Map<number, Row>> {
    const arrays = columns.map(([type], at) => `$${at + 2}::${type}[]`).join(", ");
    const names = columns.map((_, at) => `arg${at}`);
    const rows = await this.#functions.query(
      `SELECT call.place, result.* FROM (SELECT * FROM unnest(${arrays}) WITH ORDINALITY AS each(${names.join(", ")}, place)
          ORDER BY arg0 COLLATE "C", place) AS call
        CROSS JOIN LATERAL ${this.#functions.schema}.taskloom_${name}_v1($1, ${names.map((each) => `call.${each}`).join(", ")}) AS result`,
      [lane, ...columns.map(([, values]) => values)],
    );
    return new Map(rows.map((row) => [Number(row["place"]) - 1, row]));
  }

  #callsOf(lane: string): LaneCalls {
    let calls = this.#calls.get(lane);
    if (calls === undefined) {
      calls = {
        open: new GatheredCalls((each) => this.#openAll(lane, each)),
        park: new GatheredCalls((each) => this.#parkAll(lane, each)),
      };
      this.#calls.set(lane, calls);
    }
    return calls;
  }

  async open(lane: string, id: string, token: string, from = 0): Promise<OpenedRun | undefined> {
    return await this.#callsOf(lane).open.call({ id, token, from });
  }

  async #openAll(lane: string, calls: readonly OpenCall[]): Promise<(OpenedRun | undefined)[]> {
    const rows = await this.#callForEach("run_open", lane, [
      ["text", calls.map(({ id }) => id)],
      ["text", calls.map(({ token }) => token)],
      ["integer", calls.map(({ from }) => from)],
    ]);
    return calls.map((_, at) => {
      const row = rows.get(at);
      return row && openedRun(row);
    });
  }

  async read(lane: string, id: string, from: number, count: number): Promise<string[]> {
    const rows = await this.#functions.query(
      `SELECT entry FROM ${this.#runOfJob()} JOIN ${this.#functions.schema}.taskloom_log AS log USING (queue, id, generation)
        WHERE seq >= $3 ORDER BY seq LIMIT $4`,
      [lane, id, from, Math.min(count, JOURNAL_PAGE)],
    );
    return rows.map(({ entry }) => String(entry));
  }

  async readInbox(lane: string, id: string, from: number, count: number): Promise<string[]> {
    const rows = await this.#functions.query(
      `SELECT item FROM ${this.#runOfJob()} JOIN ${this.#functions.schema}.taskloom_inbox AS inbox USING (queue, id)
        WHERE seq >= $3 ORDER BY seq LIMIT $4`,
      [lane, id, from, Math.min(count, JOURNAL_PAGE)],
    );
    return rows.map(({ item }) => String(item));
  }

  /** Returns a table with the row of run $2, if it belongs to the stored job. */
  #runOfJob(): string {
    return `(SELECT run.* FROM ${this.#functions.schema}.taskloom_run AS run JOIN ${this.#functions.schema}.job AS job
      ON job.queue = run.queue AND job.id = run.id AND job.added_at_ms = run.born
      WHERE run.queue = $1 AND run.id = $2) AS run`;
  }

  async append(lane: string, appends: readonly RunAppend[]): Promise<AppendAnswer[]> {
    if (appends.length === 1) return [await this.#appendOne(lane, appends[0]!)];
    const answers: AppendAnswer[] = [];
    for (const part of partsOf(appends, sizeOfAppend))
      answers.push(...appendAnswers(await this.#functions.call("append", lane, ...appendColumns(part))));
    return answers;
  }

  async #appendOne(lane: string, append: RunAppend): Promise<AppendAnswer> {
    const { id, epoch, generation, at, consume, known = consume, view = null, entries } = append;
    const params = [lane, id, epoch, generation, at, consume, known, view, entries];
    const [row] = await this.#functions.callPrepared("append_one", ...params);
    return appendAnswer(row!);
  }

  async deliver(lane: string, id: string, items: readonly string[], key?: string): Promise<DeliverAnswer> {
    const [row] = await this.#functions.call("run_deliver", lane, id, items, key ?? null, DELIVER_CHANNEL);
    switch (row?.["kind"]) {
      case "stored":
        return { kind: "stored", unread: Number(row["unread"]) };
      case "ended":
      case "full":
        return { kind: row["kind"] };
      default:
        return { kind: "gone" };
    }
  }

  onDelivery(workerId: string, listener: (delivery: Delivery) => void): () => void {
    return this.#parts.listen(`${DELIVER_CHANNEL}${workerId}`, (payload) => {
      const delivery: Delivery = JSON.parse(payload);
      listener(delivery);
    });
  }

  async park(lane: string, id: string, terms: ParkTerms): Promise<ParkAnswer> {
    return await this.#callsOf(lane).park.call({ id, terms });
  }

  async #parkAll(lane: string, calls: readonly ParkCall[]): Promise<ParkAnswer[]> {
    const now = this.#parts.now();
    // BullMQ compares the time of a delayed job with the clocks of the workers' machines.
    const delays = calls.map(({ terms }) => Math.max(0, parkedUntil(terms.until, now) - Math.floor(now)));
    const rows = await this.#callForEach("run_park", lane, [
      ["text", calls.map(({ id }) => id)],
      ["text", calls.map(({ terms }) => terms.token)],
      ["integer", calls.map(({ terms }) => terms.epoch)],
      ["integer", calls.map(({ terms }) => terms.generation)],
      ["bigint", calls.map(({ terms }) => terms.read)],
      ["bigint", delays.map((delay) => Date.now() + delay)],
      ["bigint", delays],
    ]);
    return calls.map((_, at) => {
      const answer = rows.get(at)?.["result"];
      return answer === "parked" || answer === "news" ? answer : "lost";
    });
  }

  async release(lane: string, id: string, epoch: number): Promise<void> {
    await this.#functions.query(
      `UPDATE ${this.#functions.schema}.taskloom_run SET owner = NULL WHERE queue = $1 AND id = $2 AND epoch = $3`,
      [lane, id, epoch],
    );
  }

  async sweep(lane: string): Promise<number> {
    let promoted = 0;
    let last: number;
    do {
      const [row] = await this.#functions.call("run_sweep", lane);
      last = Number(row?.["result"]);
      promoted += last;
    } while (last === MAX_SWEPT);
    await this.#search(lane);
    return promoted;
  }

  /** Reads some of the journals, and removes those whose job is gone. */
  async #search(lane: string): Promise<void> {
    const [row] = await this.#functions.query(
      `SELECT count(*)::integer AS count, max(id) AS last, array_agg(id) FILTER (WHERE is_gone) AS gone FROM
        (SELECT id, NOT EXISTS (SELECT 1 FROM ${this.#functions.schema}.job WHERE job.queue = run.queue AND job.id = run.id) AS is_gone
          FROM ${this.#functions.schema}.taskloom_run AS run WHERE queue = $1 AND id > $2 ORDER BY id LIMIT ${MAX_SWEPT}) AS page`,
      [lane, this.#searched.get(lane) ?? ""],
    );
    this.#searched.set(lane, row?.["count"] === MAX_SWEPT ? String(row["last"]) : "");
    const gone = row === undefined ? [] : textsIn(row, "gone");
    if (gone.length > 0) await this.forget(lane, gone);
  }

  async continueAs(lane: string, id: string, next: Continuation): Promise<boolean> {
    const { token, epoch, generation, consume, data, name = null } = next;
    const params = [token, epoch, generation, consume, JSON.stringify(data), name];
    const [row] = await this.#functions.call("run_continue", lane, id, ...params);
    return row?.["result"] === true;
  }

  async view(lane: string, ids: readonly string[]): Promise<(string | undefined)[]> {
    const rows = await this.#functions.query(
      `SELECT run.id, view FROM ${this.#functions.schema}.taskloom_run AS run JOIN ${this.#functions.schema}.job AS job
        ON job.queue = run.queue AND job.id = run.id AND job.added_at_ms = run.born
        WHERE run.queue = $1 AND run.id = ANY($2) AND view IS NOT NULL`,
      [lane, [...ids]],
    );
    const views = new Map(rows.map((row) => [String(row["id"]), String(row["view"])]));
    return ids.map((id) => views.get(id));
  }

  async head(lane: string, id: string): Promise<RunHead | undefined> {
    const [row] = await this.#functions.query(
      `SELECT run.*, (SELECT count(*) FROM ${this.#functions.schema}.taskloom_log AS log WHERE log.queue = run.queue
          AND log.id = run.id AND log.generation = run.generation) AS length FROM ${this.#runOfJob()}`,
      [lane, id],
    );
    return row && headOfRow(row);
  }

  async forget(lane: string, ids: readonly string[]): Promise<void> {
    await this.#functions.call("run_forget", lane, [...ids]);
  }
}
