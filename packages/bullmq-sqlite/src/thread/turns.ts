import { hasNothing } from "../operations/claim.ts";
import type { Claim, Claimed } from "../operations/claim.ts";
import type { TurnEnd } from "../operations/end-batch.ts";
import { operations } from "../operations/index.ts";
import type { OperationName } from "../operations/index.ts";
import * as queries from "../operations/queries.ts";
import type { Statement } from "../operations/statements.ts";
import { turnHasNothing } from "../operations/turn.ts";
import type { TurnClaim, TurnDone } from "../operations/turn.ts";
import { Refusal } from "../store/store.ts";
import type { Store } from "../store/store.ts";
import { AwaitedClaims } from "./awaited-claims.ts";
import type { Change, DatabaseReply, SentClaim, SentFailure, SentOperation, SentResult } from "./messages.ts";
import type { Peers } from "./peers.ts";
import { inTransaction } from "./transaction.ts";

/**
 * The limit of the operations of one transaction, so that other processes have their turns. The ends and the claims of a
 * worker's turn count as one operation each.
 */
const MAX_OPERATIONS = 500;

/**
 * Returns whether an operation is repeated here if it fails, as on a full disk. Nobody waits for it, and a job whose lock
 * keeps another token would be active for ever.
 */
const isRepeated = ([, name]: SentOperation): boolean => name === ("renameLock" satisfies OperationName);

/** The names of the operations that only read, other than statements. */
const reads: ReadonlySet<string> = new Set(Object.keys(queries));

/** The operations of this process, which run in turns: one transaction each, then the news of it. */
export class Turns {
  /** The other processes of the file, once they are known. */
  peers: Peers | undefined;
  readonly #store: Store;
  readonly #awaited: AwaitedClaims;
  readonly #reply: (message: DatabaseReply) => void;
  #collected: SentOperation[] = [];
  /** The number of operations that were collected. */
  #collectedSize = 0;
  /** The operations that failed and are repeated, before all others. */
  #failed: SentOperation[] = [];

  constructor(store: Store, reply: (message: DatabaseReply) => void) {
    this.#store = store;
    this.#awaited = new AwaitedClaims(store);
    this.#reply = reply;
  }

  /** Collects operations for the next turn, which were sent at the time `now` of the main thread's clock. */
  add(sent: readonly SentOperation[], now: number): void {
    this.#awaited.followClock(now);
    // One by one: a spread of 100,000 operations would overflow the stack.
    for (const operation of sent) {
      this.#collected.push(operation);
      this.#collectedSize += sizeOf(operation);
    }
    if (this.#collectedSize >= MAX_OPERATIONS) this.run();
  }

  /** Runs the operations that were collected. */
  run(): void {
    const all = this.#collected;
    this.#collected = [];
    this.#collectedSize = 0;
    for (let from = 0; from < all.length;) {
      const turn = all.slice(from, endOfTurn(all, from));
      // A text for another process does not wait for the operations behind it: its receiver has nothing else to do.
      const lastPost = turn.findLastIndex(([, name]) => name === "postIf");
      if (lastPost !== -1) turn.length = lastPost + 1;
      from += turn.length;
      this.#runTurn(turn);
    }
  }

  /** Lets a worker wait for a job of a queue. */
  await(id: number, queue: string, claim: Claim): void {
    const answer = this.#awaited.add(id, queue, claim);
    if (answer !== undefined) this.#reply({ kind: "claimed", claims: [answer] });
  }

  /** Ends a wait. Operation `id` returns whether the worker still waited. */
  endAwait(id: number, awaited: number): void {
    const result: SentResult = [id, undefined, this.#awaited.remove(awaited)];
    this.#reply({ kind: "turn", results: [result], events: [] });
  }

  /** Handles a change by another process: claims jobs for the workers that wait, and notifies listeners of events. */
  changed({ jobs, events, messages }: Change): void {
    if (events !== undefined || messages !== undefined || jobs === undefined)
      this.#reply({ kind: "changed", ...(events && { events }), ...(messages && { messages }) });
    if (jobs === undefined && messages !== undefined) return;
    if (!this.#awaited.isAwaited(jobs)) return;
    try {
      this.#deliver(inTransaction(this.#store, () => this.#awaited.claim(jobs)));
      this.#notifyPeers();
    } catch {
      this.#deliver(this.#awaited.all(jobs)); // The workers ask by themselves, and receive the error.
    }
  }

  /** Runs operations in one transaction. Their results leave when it is stored; if that fails, all of them fail. */
  #runTurn(turn: readonly SentOperation[]): void {
    if (this.#findsNothing(turn)) return;
    let results: SentResult[];
    let claims: SentClaim[] = [];
    const failed = this.#failed;
    this.#failed = [];
    try {
      results = inTransaction(
        this.#store,
        () => {
          for (const operation of failed) this.#runOperation(operation);
          const all = turn.map((operation) => this.#runOperation(operation));
          if (this.#store.signals.jobs.size > 0) claims = this.#awaited.claim(this.#store.signals.jobs);
          return all;
        },
        failed.length === 0 && turn.every(isReading),
      );
    } catch (error) {
      this.#failed = [...failed, ...turn.filter(isRepeated)];
      const failure = failureOf(error);
      this.#reply({ kind: "turn", results: turn.map(([id]): SentResult => [id, failure]), events: [] });
      return;
    }
    const { jobs, messages, events } = this.#store.signals;
    // News for a process that waits go first; a claim has only events, for which nobody may listen.
    const isAwaitedElsewhere = jobs.size > 0 || messages.length > 0;
    if (isAwaitedElsewhere) this.#notifyPeers();
    this.#reply({
      kind: "turn",
      results,
      events: [...events],
      ...(messages.length > 0 && { messages }),
    });
    this.#deliver(claims);
    if (!isAwaitedElsewhere) this.#notifyPeers();
  }

  #runOperation(operation: SentOperation): SentResult {
    const [id, name, args] = operation;
    try {
      return [id, undefined, this.#store.operation(() => call(this.#store, name, args))];
    } catch (error) {
      if (!this.#store.database.isTransaction) throw error; // SQLite has rolled all of it back.
      if (isRepeated(operation)) this.#failed.push(operation);
      return [id, failureOf(error)];
    }
  }

  /**
   * Answers a turn that only asks for jobs where there are none, without a transaction. An idle worker would otherwise
   * hold up the process that is about to add a job.
   */
  #findsNothing(turn: readonly SentOperation[]): boolean {
    if (!turn.every(mayFindNothing)) return false;
    this.#store.refresh();
    const results: SentResult[] = [];
    for (const operation of turn) {
      const nothing = nothingFor(this.#store, operation);
      if (nothing === undefined) return false;
      results.push([operation[0], undefined, nothing]);
    }
    this.#reply({ kind: "turn", results, events: [] });
    return true;
  }

  #deliver(claims: readonly SentClaim[]): void {
    if (claims.length === 0) return;
    this.#awaited.settle(claims);
    this.#reply({ kind: "claimed", claims });
  }

  #notifyPeers(): void {
    const { jobs, events, messages } = this.#store.signals;
    this.peers?.send({
      ...(jobs.size > 0 && { jobs: [...jobs] }),
      ...(events.size > 0 && { events: [...events] }),
      ...(messages.length > 0 && { messages }),
    });
  }
}

function call(store: Store, name: string, args: readonly unknown[]): unknown {
  const operation = operations[name as OperationName] as (
    store: Store,
    ...args: readonly unknown[]
  ) => unknown;
  return operation(store, ...args);
}

/** Returns whether an operation only reads. */
function isReading([, name, args]: SentOperation): boolean {
  if (name !== ("runStatements" satisfies OperationName)) return reads.has(name);
  const [statements, wake] = args as readonly [readonly Statement[], (readonly string[])?];
  return wake === undefined && statements.every(([sql]) => sql.startsWith("SELECT "));
}

type TurnArgs = readonly [queue: string, ends: readonly TurnEnd[], claim: TurnClaim | undefined];

/** Returns the arguments of a worker's turn; undefined for another operation. */
function turnArgs([, name, args]: SentOperation): TurnArgs | undefined {
  return name === ("turn" satisfies OperationName) ? (args as unknown as TurnArgs) : undefined;
}

/** Returns how many operations an operation counts for. */
function sizeOf(operation: SentOperation): number {
  const args = turnArgs(operation);
  return args === undefined ? 1 : Math.max(args[1].length + (args[2]?.count ?? 0), 1);
}

/** Returns the index behind the operations of one transaction, which begin at `from`: at least one. */
function endOfTurn(all: readonly SentOperation[], from: number): number {
  let at = from + 1;
  for (let size = sizeOf(all[from]!); at < all.length; at++) {
    size += sizeOf(all[at]!);
    if (size > MAX_OPERATIONS) break;
  }
  return at;
}

/** Returns whether an operation only asks for jobs. */
function mayFindNothing(operation: SentOperation): boolean {
  const args = turnArgs(operation);
  if (args !== undefined) return args[1].length === 0 && args[2] !== undefined;
  return operation[1] === ("moveToActive" satisfies OperationName);
}

/** Returns the answer to an operation that asks for jobs and finds none; undefined if it may find one. */
function nothingFor(store: Store, operation: SentOperation): Claimed | TurnDone | undefined {
  const args = turnArgs(operation);
  if (args !== undefined) return turnHasNothing(store, ...args);
  const [, , [queue, claim]] = operation;
  return hasNothing(store, queue as string, claim as Claim);
}

/** Returns the failure of an operation as it travels back. */
export function failureOf(error: unknown): SentFailure {
  if (error instanceof Refusal) return { refusal: error.code };
  const { code, errcode } = error as { code?: string; errcode?: number };
  return { message: error instanceof Error ? error.message : String(error), code, errcode };
}
