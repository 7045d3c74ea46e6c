import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { SQLInputValue } from "node:sqlite";
import { STATE_NAMES } from "../schema/states.ts";
import type { Row, Store } from "../store/store.ts";
import { moveToDelayed, promote } from "./move.ts";

/** The call of an exported function of a module of yours, which runs on the database thread; see `callFunction`. */
export interface UserCall {
  /** The URL of the module. */
  readonly module: string;
  readonly name: string;
  /** The arguments behind the {@link Transaction}. They are copied by structured clone. */
  readonly args: readonly unknown[];
}

/** The facts about a stored job that a function of yours can decide on. */
export interface JobFacts {
  /** The state by BullMQ's names. A prioritized job is `waiting`. */
  readonly state: (typeof STATE_NAMES)[number];
  /** The time at which the job was added, in milliseconds of the epoch. */
  readonly added: number;
  /** The time of the job's end, in milliseconds of the epoch; undefined until then. */
  readonly finished: number | undefined;
  readonly attemptsStarted: number;
  /** The token of the job's lock; undefined without a lock. */
  readonly token: string | undefined;
}

/**
 * The transaction in which a function of yours runs: statements on your own tables and on BullMQ's, and the moves of jobs that
 * BullMQ's rules allow. An error of the function undoes its changes.
 */
export interface Transaction {
  /** Returns the first row of a statement. */
  get(sql: string, ...params: SQLInputValue[]): Row | undefined;
  all(sql: string, ...params: SQLInputValue[]): Row[];
  /** Runs a statement, and returns the number of changed rows. */
  run(sql: string, ...params: SQLInputValue[]): number;
  /** Returns the facts about a job; undefined if there is none. */
  job(queue: string, id: string): JobFacts | undefined;
  /** Delays an active job until `due`, in milliseconds of the epoch, and spends no attempt. */
  moveToDelayed(queue: string, id: string, token: string, due: number, delay: number): void;
  /** Lets a delayed job wait to run at once. */
  promote(queue: string, id: string): void;
  /** Posts a text after the commit, as `Database.post` does. */
  post(channel: string, text: string): void;
}

const load = createRequire(import.meta.url);
const transactions = new WeakMap<Store, Transaction>();

/** Runs an exported function of a user's module, which is loaded at its first use. */
export function callFunction(store: Store, module: string, name: string, args: readonly unknown[]): unknown {
  const exported: Record<string, unknown> = load(fileURLToPath(module));
  const called = exported[name];
  if (typeof called !== "function")
    throw new TypeError(`${module} exports no function ${name}; export it from the module`);
  return called(transactionOf(store), ...args);
}

function transactionOf(store: Store): Transaction {
  let transaction = transactions.get(store);
  if (transaction === undefined) {
    transaction = {
      get: (sql, ...params) => store.get(sql, ...params),
      all: (sql, ...params) => store.all(sql, ...params),
      run: (sql, ...params) => store.run(sql, ...params),
      job: (queue, id) => jobFacts(store, queue, id),
      moveToDelayed: (queue, id, token, due, delay) =>
        moveToDelayed(store, queue, id, token, due, delay, true, { reason: null, stacktrace: null }),
      promote: (queue, id) => promote(store, queue, id),
      post: (channel, text) => store.post(channel, text),
    };
    transactions.set(store, transaction);
  }
  return transaction;
}

function jobFacts(store: Store, queue: string, id: string): JobFacts | undefined {
  const q = store.find(queue);
  if (q === undefined) return undefined;
  const row = store.get(
    "SELECT state, added, finished, attempts_started, lock_token FROM job WHERE q = ? AND id = ?",
    q,
    id,
  );
  if (row === undefined) return undefined;
  const { finished, lock_token: token } = row;
  return {
    state: STATE_NAMES[Number(row["state"])]!,
    added: Number(row["added"]),
    finished: finished == null ? undefined : Number(finished),
    attemptsStarted: Number(row["attempts_started"]),
    token: token == null ? undefined : String(token),
  };
}
