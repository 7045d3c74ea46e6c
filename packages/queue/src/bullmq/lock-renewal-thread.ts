import { parentPort, workerData } from "node:worker_threads";
import type { IQueueBackend } from "bullmq";
import type { ConnectToRenew, RenewalAddress } from "../contract/lock-terms.ts";
import { LockTable, newestOfEach } from "./lock-table.ts";
import type { HeldLock } from "./lock-table.ts";

/** What the thread is given. */
export interface RenewalThreadData {
  readonly memory: SharedArrayBuffer;
  readonly address: RenewalAddress | undefined;
  /** The BullMQ queues whose locks it renews; an entry of the table names one by its index. */
  readonly queues: readonly string[];
  /** Milliseconds: how long a lock lasts, how often it is renewed, and for how long of a standing loop. */
  readonly duration: number;
  readonly interval: number;
  readonly stallLimit: number;
}

/** What the thread tells. */
export type RenewalThreadMessage =
  | { readonly type: "lost"; readonly queue: number; readonly id: string; readonly sequence: number }
  | {
      readonly type: "stall";
      readonly duration: number;
      readonly jobs: readonly { readonly id: string; readonly name: string }[];
    };

/** How often it looks whether the loop turns, and from when on a loop that does not is reported; milliseconds. */
const lookInterval = 250;
const reportedFrom = 1_000;

const { memory, address, queues, duration, interval, stallLimit } = workerData as RenewalThreadData;
const table = LockTable.reading(memory);
const tell = (message: RenewalThreadMessage): void => parentPort?.postMessage(message);

/** Opens a connection of the thread's own: the event loop serves the one of the engine, and can be blocked. */
async function connect({ module, server }: RenewalAddress): Promise<IQueueBackend[]> {
  const { connectToRenew } = (await import(module)) as { readonly connectToRenew: ConnectToRenew<unknown> };
  // A connection that was cut without a word is given up before the locks lapse.
  return connectToRenew(server, queues, duration / 8);
}

// It ends by itself: V8 can crash when a thread is terminated while it loads its modules.
parentPort?.once("message", () => process.exit());

const backends = address === undefined ? [] : await connect(address);
for (const backend of backends) backend.on("error", () => {});

let ticks = table.ticks;
let turnedAt = performance.now();
let standing: readonly HeldLock[] | undefined;

setInterval(() => {
  const now = performance.now();
  const standingFor = now - turnedAt;
  if (ticks !== (ticks = table.ticks)) {
    if (standing !== undefined) {
      tell({ type: "stall", duration: standingFor, jobs: standing.map(({ id, name }) => ({ id, name })) });
    }
    standing = undefined;
    turnedAt = now;
  } else if (standingFor >= reportedFrom) {
    standing ??= table.entries();
  }
}, lookInterval);

const renewing = new Set<number>();

async function renew(queue: number, locks: readonly HeldLock[]): Promise<void> {
  renewing.add(queue);
  try {
    const failed = await backends[queue]!.extendLocks(
      locks.map(({ id }) => id),
      locks.map(({ token }) => token),
      duration,
    );
    for (const lock of locks) {
      // A job that ended meanwhile has no lock any more, and no need of one.
      if (failed.includes(lock.id) && table.holds(lock))
        tell({ type: "lost", queue, id: lock.id, sequence: lock.sequence });
    }
  } catch {
    // The next round asks again.
  } finally {
    renewing.delete(queue);
  }
}

setInterval(() => {
  // A loop that stands still for too long may never turn again: its jobs go to another worker.
  if (address === undefined || performance.now() - turnedAt > stallLimit) return;
  const byQueue = new Map<number, HeldLock[]>();
  for (const lock of table.entries()) {
    const locks = byQueue.get(lock.queue);
    if (locks === undefined) byQueue.set(lock.queue, [lock]);
    else locks.push(lock);
  }
  for (const [queue, locks] of byQueue) if (!renewing.has(queue)) void renew(queue, newestOfEach(locks));
}, interval);
