import { parentPort, workerData } from "node:worker_threads";
import type { ConnectToRenew, LockExtender, RenewalAddress } from "../contract/lock-terms.ts";
import { LockTable, newestOfEach } from "./lock-table.ts";
import type { HeldLock } from "./lock-table.ts";

/** The thread's `workerData`. */
export interface RenewalThreadData {
  readonly memory: SharedArrayBuffer;
  readonly address: RenewalAddress | undefined;
  /** The BullMQ queues whose locks are renewed. An entry of the table names a queue by its index. */
  readonly queues: readonly string[];
  /** The time for which a lock lasts, in milliseconds. */
  readonly duration: number;
  /** The interval of the renewals, in milliseconds. */
  readonly interval: number;
  /** The time for which locks are renewed while the loop is blocked, in milliseconds. */
  readonly stallLimit: number;
}

/** A message of the thread. */
export type RenewalThreadMessage =
  /** The thread has begun to renew the locks in the table. */
  | { readonly type: "renews" }
  | { readonly type: "lost"; readonly queue: number; readonly id: string; readonly sequence: number }
  | {
      readonly type: "stall";
      readonly duration: number;
      readonly jobs: readonly { readonly id: string; readonly name: string }[];
    };

/** How often the thread checks whether the loop turns. */
const CHECK_INTERVAL_MS = 250;
/** The shortest block of the loop that is reported as a stall. */
const SHORTEST_STALL_MS = 1_000;

const data: RenewalThreadData = workerData;
const { memory, address, queues, duration, interval, stallLimit } = data;
const table = LockTable.reading(memory);
const post = (message: RenewalThreadMessage): void => parentPort?.postMessage(message);

/** Opens a connection of the thread's own: the event loop serves the one of the engine, and can be blocked. */
async function connect({ module, server }: RenewalAddress): Promise<LockExtender[]> {
  const loaded: { readonly connectToRenew: ConnectToRenew<unknown> } = await import(module);
  // A connection that was lost in silence is closed before the locks lapse.
  return loaded.connectToRenew(server, queues, duration / 8);
}

// The thread exits by itself, because V8 can crash if a thread is terminated while it loads its modules.
parentPort?.once("message", () => process.exit());

const extenders = address === undefined ? [] : await connect(address);

let ticks = table.ticks;
let turnedAt = performance.now();
let blocked: readonly HeldLock[] | undefined;

setInterval(() => {
  const now = performance.now();
  const blockedFor = now - turnedAt;
  if (ticks !== (ticks = table.ticks)) {
    if (blocked !== undefined) {
      post({ type: "stall", duration: blockedFor, jobs: blocked.map(({ id, name }) => ({ id, name })) });
    }
    blocked = undefined;
    turnedAt = now;
  } else if (blockedFor >= SHORTEST_STALL_MS) {
    blocked ??= table.entries();
  }
}, CHECK_INTERVAL_MS);

const renewing = new Set<number>();

async function renew(queue: number, locks: readonly HeldLock[]): Promise<void> {
  renewing.add(queue);
  try {
    const failed = await extenders[queue]!.extend(
      locks.map(({ id }) => id),
      locks.map(({ token }) => token),
      duration,
    );
    for (const lock of locks) {
      // A job that ended meanwhile needs no lock any more.
      if (failed.includes(lock.id) && table.holds(lock))
        post({ type: "lost", queue, id: lock.id, sequence: lock.sequence });
    }
  } catch {
    // The next round renews again.
  } finally {
    renewing.delete(queue);
  }
}

/** The sequences of the locks that the last round has seen; undefined before the first one, which renews all. */
let seen: ReadonlySet<number> | undefined;

/**
 * Renews the locks that the last round has seen, too. A younger lock has most of its time left, and most jobs end before
 * the next round: a worker with short jobs sends no renewals.
 */
function renewAll(): void {
  // A loop that is blocked for too long may never turn again, so its jobs go to another worker.
  if (performance.now() - turnedAt > stallLimit) return;
  const held = table.entries();
  const due = newestOfEach(held).filter(({ sequence }) => seen?.has(sequence) ?? true);
  seen = new Set(held.map(({ sequence }) => sequence));
  for (const [queue, locks] of Map.groupBy(due, (lock) => lock.queue))
    if (!renewing.has(queue)) void renew(queue, locks);
}

if (address !== undefined) {
  renewAll();
  setInterval(renewAll, interval);
  post({ type: "renews" });
}
