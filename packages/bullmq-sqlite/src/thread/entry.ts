import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { operations } from "../operations/index.ts";
import type { OperationName } from "../operations/index.ts";
import { primaryCode } from "../schema/result-codes.ts";
import type {
  Change,
  DatabaseReply,
  DatabaseRequest,
  OpenOptions,
  SentFailure,
  SentOperation,
  SentResult,
} from "./messages.ts";
import { backUp } from "./backup.ts";
import { Housekeeping } from "./housekeeping.ts";
import { OpenRefusal, openDatabase, refusal } from "./open-database.ts";
import { Peers, canShare } from "./peers.ts";
import { Refusal, Store } from "../store/store.ts";

/** The most operations in one transaction. More of them would keep other processes from their turns. */
const MAX_OPERATIONS = 500;
/** SQLite's result codes for a database that another process has locked. */
const BUSY_CODES = new Set([5, 6]);
/** The time for which a turn waits for other processes before its operations fail. */
const BUSY_TIMEOUT_MS = 30_000;

/** The limits of the first and of all later pauses before another attempt to begin a transaction. */
const FIRST_BUSY_PAUSE_MS = 0.1;
const MAX_BUSY_PAUSE_MS = 1.2;

const port = parentPort!;
const pause = new Int32Array(new SharedArrayBuffer(4));

function reply(message: DatabaseReply): void {
  port.postMessage(message);
}

async function start(options: OpenOptions): Promise<void> {
  let store: Store;
  let peers: Peers | undefined;
  try {
    store = new Store(openDatabase(options));
    peers = options.path === ":memory:" ? undefined : await join(options.path, store);
  } catch (error) {
    const { code, message } = refusal(options.path, error);
    reply({ kind: "refused", code, message });
    port.close();
    return;
  }
  const housekeeping = options.path === ":memory:" ? undefined : new Housekeeping(store, options.path);
  reply({ kind: "open", sqlite: sqliteVersion(store), processId: store.owner });
  port.on("message", (first: DatabaseRequest) => {
    // The operations of all messages that have arrived share a transaction.
    const collected: SentOperation[] = [];
    for (let message: DatabaseRequest | undefined = first; message !== undefined; message = received()) {
      if (message.kind === "turn") {
        // One by one: a spread of 100,000 operations would overflow the stack.
        for (const operation of message.operations) collected.push(operation);
      } else if (message.kind === "post") {
        // Messages about a turn are sent after its commit.
        runAll(store, peers, collected.splice(0));
        peers?.send({ messages: message.messages });
      } else if (message.kind === "backup") {
        runAll(store, peers, collected.splice(0));
        runBackup(store, message.id, message.path);
      } else {
        runAll(store, peers, collected);
        housekeeping?.stop();
        close(store, peers);
        return;
      }
      if (collected.length >= MAX_OPERATIONS) runAll(store, peers, collected.splice(0));
    }
    runAll(store, peers, collected);
    housekeeping?.turnEnded();
  });
}

function sqliteVersion(store: Store): string {
  return String(store.get("SELECT sqlite_version() AS version")?.["version"]);
}

async function join(path: string, store: Store): Promise<Peers> {
  const peers = Peers.join(
    path,
    store,
    (change: Change) => reply({ kind: "changed", ...change }),
    inTransaction(store),
  );
  store.owner = peers.id;
  await peers.connected();
  if (peers.others > 0 && !canShare(sqliteVersion(store))) {
    peers.leave(inTransaction(store));
    throw new OpenRefusal(
      "SQLITE_ONE_PROCESS",
      `Another process has ${path} open, and SQLite ${sqliteVersion(store)} can damage a file that two processes write: use a Node with SQLite 3.51.3 or later, such as Node 24`,
    );
  }
  return peers;
}

/** Returns a function that runs a body in one transaction, for which it waits while other processes have theirs. */
function inTransaction(store: Store): (body: () => void) => void {
  return (body) => {
    try {
      beginPatiently(store);
      body();
      store.commit();
    } catch (error) {
      store.rollback();
      throw error;
    }
  };
}

function close(store: Store, peers: Peers | undefined): void {
  peers?.leave(inTransaction(store));
  store.database.close();
  reply({ kind: "closed" });
  port.close();
}

function received(): DatabaseRequest | undefined {
  return receiveMessageOnPort(port)?.message as DatabaseRequest | undefined;
}

function runAll(store: Store, peers: Peers | undefined, all: readonly SentOperation[]): void {
  for (let from = 0; from < all.length; from += MAX_OPERATIONS)
    runTurn(store, peers, all.slice(from, from + MAX_OPERATIONS));
}

/** Runs operations in one transaction. The answers are sent after its commit. If the commit fails, all operations fail. */
function runTurn(store: Store, peers: Peers | undefined, turn: readonly SentOperation[]): void {
  let results: SentResult[];
  try {
    beginPatiently(store);
    results = turn.map(([id, name, args]): SentResult => {
      try {
        return [id, undefined, store.operation(() => call(store, name, args))];
      } catch (error) {
        if (!store.database.isTransaction) throw error; // SQLite has rolled back the whole turn.
        return [id, failureOf(error)];
      }
    });
    store.commit();
  } catch (error) {
    store.rollback();
    const failure = failureOf(error);
    results = turn.map(([id]): SentResult => [id, failure]);
    reply({ kind: "turn", results, jobs: [], events: [] });
    return;
  }
  const jobs = [...store.signals.jobs];
  const events = [...store.signals.events];
  reply({ kind: "turn", results, jobs, events });
  const { messages } = store.signals;
  if (jobs.length > 0 || events.length > 0 || messages.length > 0)
    peers?.send({ jobs, events, ...(messages.length > 0 ? { messages } : {}) });
}

/** Writes a copy outside of any transaction. Operations that are called meanwhile wait. */
function runBackup(store: Store, id: number, path: string): void {
  let result: SentResult = [id, undefined];
  try {
    backUp(store, path);
  } catch (error) {
    result = [id, failureOf(error)];
  }
  reply({ kind: "turn", results: [result], jobs: [], events: [] });
}

function call(store: Store, name: string, args: readonly unknown[]): unknown {
  const operation = operations[name as OperationName] as (
    store: Store,
    ...args: readonly unknown[]
  ) => unknown;
  return operation(store, ...args);
}

/**
 * Begins a transaction, for which it waits while other processes have theirs. SQLite's own waiting is not fair: of eight
 * busy processes, the slowest had a twentieth of its share. With short random pauses it has three quarters. The first
 * pauses are as short as a small turn.
 */
function beginPatiently(store: Store): void {
  const until = Date.now() + BUSY_TIMEOUT_MS;
  for (
    let longestPause = FIRST_BUSY_PAUSE_MS;
    ;
    longestPause = Math.min(2 * longestPause, MAX_BUSY_PAUSE_MS)
  ) {
    try {
      return store.begin();
    } catch (error) {
      if (!BUSY_CODES.has(primaryCode(error)) || Date.now() > until) throw error;
    }
    Atomics.wait(pause, 0, 0, longestPause * (0.25 + 0.75 * Math.random()));
  }
}

function failureOf(error: unknown): SentFailure {
  if (error instanceof Refusal) return { refusal: error.code };
  const { code, errcode } = error as { code?: string; errcode?: number };
  return { message: error instanceof Error ? error.message : String(error), code, errcode };
}

await start(workerData as OpenOptions);
