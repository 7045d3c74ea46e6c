import { extname } from "node:path";
import { Worker as Thread } from "node:worker_threads";
import { LockManager } from "bullmq";
import type { Worker } from "bullmq";
import type { RenewalAddress } from "../contract/lock-terms.ts";
import type { HeldLocks, LockHolder } from "../contract/lock-holder.ts";
import { settleWithin } from "@taskloom/loop/timer";
import { LockTable } from "./lock-table.ts";
import type { RenewalThreadData, RenewalThreadMessage } from "./lock-renewal-thread.ts";

/** How often the loop records that it turns. */
const TICK_INTERVAL_MS = 200;
/** How long closing waits for the thread. */
const CLOSE_TIMEOUT_MS = 2_000;

/** A time in which the event loop was blocked, so that no job of this process made progress. */
export interface LoopStall {
  /** Milliseconds, exact to about a quarter of a second. */
  readonly duration: number;
  /** The jobs that this process ran at that time. A single job is the one that blocked the loop. */
  readonly jobs: readonly { readonly id: string; readonly name: string }[];
}

/** The options of {@link LockRenewal}. */
export interface LockRenewalOptions {
  readonly address: RenewalAddress | undefined;
  readonly queues: readonly string[];
  /** The greatest number of jobs that run at once. */
  readonly slots: number;
  readonly duration: number;
  readonly interval: number;
  /** The time for which a blocked loop keeps its locks, in milliseconds. */
  readonly stallLimit: number;
  readonly onStall: (stall: LoopStall) => void;
}

/**
 * Renews the locks of this process's jobs from a thread, so that a job that blocks the event loop is not recovered and run
 * a second time.
 *
 * BullMQ renews from the loop. Without the thread, a loop that was blocked for three times the lock made a job run twice,
 * and the first result was dropped. The thread renews while the process lives and the loop is not blocked for longer than
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
      // The thread needs no flag of the process, and some flags (--inspect-brk, --input-type) would stop it.
      execArgv: [],
      stdin: false,
      workerData: { ...data, memory: this.table.memory } satisfies RenewalThreadData,
    });
    this.#thread.unref();
    this.#thread.on("message", (message: RenewalThreadMessage) => {
      if (message.type === "stall") onStall({ duration: message.duration, jobs: message.jobs });
      else this.#managers.get(message.queue)?.lost(message.id, message.sequence);
    });
    // Without the thread the loop renews, as in BullMQ.
    this.#thread.on("error", () => (this.#renews = false));
    this.#exited = new Promise((resolve) => {
      this.#thread.on("exit", () => {
        this.#renews = false;
        resolve();
      });
    });
    this.#timer = setInterval(() => this.table.tick(), TICK_INTERVAL_MS).unref();
  }

  /** Whether the thread renews the locks in its table; if not, the loop does. */
  get renews(): boolean {
    return this.#renews;
  }

  managerFor(worker: Worker): ThreadLockManager {
    const queue = this.#queues.indexOf(worker.name);
    const manager = new ThreadLockManager(worker, this, queue);
    this.#managers.set(queue, manager);
    return manager;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#thread.postMessage("close");
    await settleWithin(CLOSE_TIMEOUT_MS, this.#exited);
  }
}

/** BullMQ's lock manager, which renews only the locks that the thread has no room for. */
class ThreadLockManager extends LockManager implements HeldLocks {
  readonly #renewal: LockRenewal;
  readonly #queue: number;
  /** The job of each slot, and the sequence of its entry. Only {@link lost} searches for a job. */
  readonly #ids: (string | undefined)[] = [];
  readonly #sequences: number[] = [];

  constructor(worker: Worker, renewal: LockRenewal, queue: number) {
    const { lockRenewTime = 0, lockDuration = 0 } = worker.opts;
    super(worker as never, { lockRenewTime, lockDuration, workerId: worker.id });
    this.#renewal = renewal;
    this.#queue = queue;
  }

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
   * Called if the thread could not renew an entry. The entry and not the token shows which run lost its lock: BullMQ uses
   * tokens again, so the next attempt of the same job can have the token of the previous one. If the next attempt runs here
   * already, the end of the previous one is stored, and its lock is not needed any more.
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
