import { extname } from "node:path";
import type { Database, Transaction, UserCall } from "@taskloom/bullmq-sqlite";
import type { EndDelivery } from "../../../contract/lane-driver.ts";
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
import { deliverChannel } from "./other-functions.ts";
import type * as threadFunctions from "./thread-functions.ts";

type ThreadFunctions = typeof threadFunctions;
type Rest<F> = F extends (transaction: Transaction, ...rest: infer Args) => unknown ? Args : never;

/** The module that the database thread loads. */
const THREAD_MODULE = new URL(`./thread-functions${extname(import.meta.url)}`, import.meta.url).href;

/** How many runs one operation reads. A longer one would delay the other commands of the database. */
const MAX_SWEPT = 500;

/** The journal of the job that a trigger sees removed. */
const OF_REMOVED_JOB = "queue = (SELECT name FROM queue WHERE q = OLD.q) AND id = OLD.id";

/** Creates the tables of the journal. */
export async function createJournalTables(database: Database): Promise<void> {
  await database.statements([
    [
      `CREATE TABLE IF NOT EXISTS taskloom_run (queue TEXT NOT NULL, id TEXT NOT NULL, born INTEGER NOT NULL,
        epoch INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL DEFAULT 0, consumed INTEGER NOT NULL DEFAULT 0,
        delivered INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0, owner TEXT, view TEXT,
        keys TEXT NOT NULL DEFAULT '[]', PRIMARY KEY (queue, id)) STRICT, WITHOUT ROWID`,
    ],
    ["CREATE INDEX IF NOT EXISTS taskloom_run_woken ON taskloom_run (queue, id) WHERE delivered > consumed"],
    [
      `CREATE TABLE IF NOT EXISTS taskloom_log (queue TEXT NOT NULL, id TEXT NOT NULL, generation INTEGER NOT NULL,
        seq INTEGER NOT NULL, entry TEXT NOT NULL, PRIMARY KEY (queue, id, generation, seq)) STRICT, WITHOUT ROWID`,
    ],
    [
      `CREATE TABLE IF NOT EXISTS taskloom_inbox (queue TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL,
        item TEXT NOT NULL, PRIMARY KEY (queue, id, seq)) STRICT, WITHOUT ROWID`,
    ],
    // A journal goes with its job, whoever removes the job.
    [
      `CREATE TRIGGER IF NOT EXISTS taskloom_forget AFTER DELETE ON job
        WHEN EXISTS (SELECT 1 FROM taskloom_run WHERE ${OF_REMOVED_JOB}) BEGIN
        DELETE FROM taskloom_run WHERE ${OF_REMOVED_JOB};
        DELETE FROM taskloom_log WHERE ${OF_REMOVED_JOB};
        DELETE FROM taskloom_inbox WHERE ${OF_REMOVED_JOB};
        END`,
    ],
  ]);
}

/** The journals of the runs in a folder: each call is one operation of the database thread. */
export class SqliteJournal implements RunJournal {
  readonly #database: () => Database;
  readonly #now: () => number;
  /** The run up to which each lane was searched for journals without a job. */
  readonly #searched = new Map<string, string>();

  constructor(database: () => Database, now: () => number) {
    this.#database = database;
    this.#now = now;
  }

  async #call<N extends keyof ThreadFunctions>(
    name: N,
    ...args: Rest<ThreadFunctions[N]>
  ): Promise<ReturnType<ThreadFunctions[N]>> {
    const result = await this.#database().callFunction(THREAD_MODULE, name, ...args);
    return result as ReturnType<ThreadFunctions[N]>;
  }

  open(lane: string, id: string, token: string, from = 0): Promise<OpenedRun | undefined> {
    return this.#call("open", lane, id, token, from);
  }

  read(lane: string, id: string, from: number, count: number): Promise<string[]> {
    return this.#call("read", lane, id, from, Math.min(count, JOURNAL_PAGE));
  }

  readInbox(lane: string, id: string, from: number, count: number): Promise<string[]> {
    return this.#call("readInbox", lane, id, from, Math.min(count, JOURNAL_PAGE));
  }

  append(lane: string, appends: readonly RunAppend[]): Promise<AppendAnswer[]> {
    return this.#call("append", lane, appends.map(plainAppend));
  }

  deliver(lane: string, id: string, items: readonly string[], key?: string): Promise<DeliverAnswer> {
    return this.#call("deliver", lane, id, items, key);
  }

  onDelivery(workerId: string, listener: (delivery: Delivery) => void): () => void {
    const database = this.#database();
    const own = deliverChannel(workerId);
    const onMessage = (channel: string, text: string): void => {
      if (channel !== own) return;
      const delivery: Delivery = JSON.parse(text);
      listener(delivery);
    };
    database.on("message", onMessage);
    return () => database.off("message", onMessage);
  }

  park(lane: string, id: string, terms: ParkTerms): Promise<ParkAnswer> {
    const now = this.#now();
    const until = parkedUntil(terms.until, now);
    const { token, epoch, generation, read } = terms;
    const plain = { token, epoch, generation, read, until };
    return this.#call("park", lane, id, plain, Math.max(0, until - Math.floor(now)));
  }

  release(lane: string, id: string, epoch: number): Promise<void> {
    return this.#call("release", lane, id, epoch);
  }

  async sweep(lane: string): Promise<number> {
    let promoted = 0;
    let after: string | undefined = "";
    while (after !== undefined) {
      const swept: ReturnType<ThreadFunctions["sweep"]> = await this.#call("sweep", lane, after, MAX_SWEPT);
      promoted += swept.promoted;
      after = swept.last;
    }
    const searched = await this.#call("search", lane, this.#searched.get(lane) ?? "", MAX_SWEPT);
    this.#searched.set(lane, searched ?? "");
    return promoted;
  }

  continueAs(lane: string, id: string, next: Continuation): Promise<boolean> {
    const { token, epoch, generation, consume, data, name = null } = next;
    const place = { token, epoch, generation, consume };
    return this.#call("continueAs", lane, id, place, JSON.stringify(data), name);
  }

  view(lane: string, ids: readonly string[]): Promise<(string | undefined)[]> {
    return this.#call("view", lane, ids);
  }

  head(lane: string, id: string): Promise<RunHead | undefined> {
    return this.#call("head", lane, id);
  }

  forget(lane: string, ids: readonly string[]): Promise<void> {
    return this.#call("forget", lane, ids);
  }
}

/** Returns an append without properties that cannot be sent to the thread; one of them would fail all calls of a turn. */
function plainAppend({ id, epoch, generation, at, entries, consume, known, view }: RunAppend): RunAppend {
  const plain = { id, epoch, generation, at, entries, consume, known: known ?? consume };
  return view === undefined ? plain : { ...plain, view };
}

/** Returns the call by which a turn delivers an end in the step that stores it. */
export function deliveryCall({ lane, id, item, key }: EndDelivery): UserCall {
  return {
    module: THREAD_MODULE,
    name: "deliver" satisfies keyof ThreadFunctions,
    args: [lane, id, [item], key],
  };
}
