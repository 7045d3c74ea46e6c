import { extname } from "node:path";
import { Worker as Thread } from "node:worker_threads";
import { LockManager } from "bullmq";
import type { Worker } from "bullmq";
import type { RenewalAddress } from "../contract/lock-terms.ts";
import type { HeldLocks, LockHolder } from "../contract/lock-holder.ts";
import { settleWithin } from "../settle-within.ts";
import { LockTable } from "./lock-table.ts";
import type { RenewalThreadData, RenewalThreadMessage } from "./lock-renewal-thread.ts";

/** How often the loop shows that it turns, and how long closing waits for the thread; milliseconds. */
const tickInterval = 200;
const closePatience = 2_000;

/** A time in which the event loop stood still, so that no job of this process went on. */
export interface LoopStall {
  /** Milliseconds, to about a quarter of a second. */
  readonly duration: number;
  /** The jobs that this process ran then; with one, it is the one that held the loop. */
  readonly jobs: readonly { readonly id: string; readonly name: string }[];
}

/** What a process's lock renewal needs to know. */
export interface LockRenewalOptions {
  readonly address: RenewalAddress | undefined;
  readonly queues: readonly string[];
  /** How many jobs run at once at most. */
  readonly slots: number;
  readonly duration: number;
  readonly interval: number;
  /** For how long a loop that stands still keeps its locks, in milliseconds. */
  readonly stallLimit: number;
  readonly onStall: (stall: LoopStall) => void;
}

/**
 * Renews the locks of the jobs that this process runs from a thread, so that a job which holds the event loop is not
 * taken for one whose worker died, and run a second time.
 *
 * BullMQ renews from the loop. Without the thread, a block of three times the lock made a job run twice, and the first
 * result was dropped. The thread goes on for as long as the process lives and the loop does not stand still beyond
 * `stallLimit`.
 */
export class LockRenewal implements LockHolder {
  readonly table: LockTable;
  readonly #thread: Thread;
  readonly #timer: NodeJS.Timeout;
  readonly #managers = new Map<number, ThreadLockManager>();
  readonly #queues: readonly string[];
  readonly #exited: Promise<void>;
  #renews: boolean;

  constructor({ slots, onStall, ...data }: LockRenewalOptions) {
    this.#queues = data.queues;
    this.#renews = data.address !== undefined;
    this.table = LockTable.withSlots(slots);
    this.#thread = new Thread(new URL(`./lock-renewal-thread${extname(import.meta.url)}`, import.meta.url), {
      name: "taskloom-lock-renewal",
      // Nothing of the process's flags concerns it, and some (--inspect-brk, --input-type) would stop it.
      execArgv: [],
      stdin: false,
      workerData: { ...data, memory: this.table.memory } satisfies RenewalThreadData,
    });
    this.#thread.unref();
    this.#thread.on("message", (message: RenewalThreadMessage) => {
      if (message.type === "stall") onStall({ duration: message.duration, jobs: message.jobs });
      else this.#managers.get(message.queue)?.lost(message.id, message.sequence);
    });
    // Without the thread the loop renews, as BullMQ does by itself.
    this.#thread.on("error", () => (this.#renews = false));
    this.#exited = new Promise((resolve) => {
      this.#thread.on("exit", () => {
        this.#renews = false;
        resolve();
      });
    });
    this.#timer = setInterval(() => this.table.tick(), tickInterval).unref();
  }

  /** Whether the thread renews what it holds; if not, the loop does. */
  get renews(): boolean {
    return this.#renews;
  }

  /** The lock manager for a BullMQ worker. */
  managerFor(worker: Worker): ThreadLockManager {
    const queue = this.#queues.indexOf(worker.name);
    const manager = new ThreadLockManager(worker, this, queue);
    this.#managers.set(queue, manager);
    return manager;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#thread.postMessage("close");
    await settleWithin(closePatience, this.#exited);
  }
}

/** BullMQ's lock manager, with the renewing left to the thread; what the thread cannot take it renews by itself. */
class ThreadLockManager extends LockManager implements HeldLocks {
  readonly #renewal: LockRenewal;
  readonly #queue: number;
  /** The job of each slot, and the sequence of its entry; a job is looked for only when something is wrong. */
  readonly #ids: (string | undefined)[] = [];
  readonly #sequences: number[] = [];

  constructor(worker: Worker, renewal: LockRenewal, queue: number) {
    const { lockRenewTime = 0, lockDuration = 0 } = worker.opts;
    super(worker as never, { lockRenewTime, lockDuration, workerId: worker.id });
    this.#renewal = renewal;
    this.#queue = queue;
  }

  /** Puts a job under the thread's care until {@link release} of the slot that it gives; undefined without room. */
  hold(id: string, token: string, name: string): number | undefined {
    const slot = this.#queue < 0 ? undefined : this.#renewal.table.put(this.#queue, id, token, name);
    if (slot === undefined) return undefined;
    this.#ids[slot] = id;
    this.#sequences[slot] = this.#renewal.table.sequenceOf(slot);
    return slot;
  }

  release(slot: number): void {
    if (this.#ids[slot] === undefined) return;
    this.#ids[slot] = undefined;
    this.#renewal.table.remove(slot);
  }

  /**
   * The thread could not renew an entry. The entry and not the token shows which run lost its lock: BullMQ uses tokens
   * again, so the next attempt of the same job can have the token of the one that has just ended. If the next attempt
   * runs here already, the end of this one is stored, and its lock is not needed any more.
   */
  lost(id: string, sequence: number): void {
    const ofJob = this.#sequences.filter((_, slot) => this.#ids[slot] === id);
    if (ofJob.length > 0 && Math.max(...ofJob) === sequence) this.worker.emit("lockRenewalFailed", [id]);
  }

  protected override async extendLocks(jobIds: string[]): Promise<void> {
    const held = new Set(this.#ids);
    const left = this.#renewal.renews ? jobIds.filter((id) => !held.has(id)) : jobIds;
    if (left.length > 0) await super.extendLocks(left);
  }

  override async close(): Promise<void> {
    for (const slot of this.#ids.keys()) this.release(slot);
    await super.close();
  }
}

export type { ThreadLockManager };

/** @deprecated Use {@link LoopStall}. */
export type Stall = LoopStall;
