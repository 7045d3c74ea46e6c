import { extname } from "node:path";
import { Worker as Thread } from "node:worker_threads";
import type { RenewalAddress } from "../contract/lock-terms.ts";
import type { LockHolder, LockedLane } from "../contract/lock-holder.ts";
import { settleWithin } from "@taskloom/loop/timer";
import { LaneLocks } from "./lane-locks.ts";
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
  /** The greatest number of locks that are held at once. The loop renews those above it, less often. */
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
 * Without the thread, the loop renews ({@link LaneLocks}), as it does in BullMQ. If the loop was then blocked for three times
 * the lock, a job ran twice, and the first result was dropped. The thread renews while the process lives and the loop is
 * not blocked for longer than `stallLimit`.
 *
 * The thread starts with the first lock: a worker that has run no job needs neither its memory nor its timers. Until the
 * thread renews, the loop renews as often, since a lost connection may take most of the time of a lock. Node starts a
 * thread even while the loop is blocked.
 */
export class LockRenewal implements LockHolder {
  readonly table: LockTable;
  readonly #data: RenewalThreadData;
  readonly #onStall: LockRenewalOptions["onStall"];
  /** The lanes of each queue: one on each shard. */
  readonly #lanes = new Map<number, LaneLocks[]>();
  readonly #queues: readonly string[];
  #thread: Thread | undefined;
  #timer: NodeJS.Timeout | undefined;
  #exited: Promise<void> = Promise.resolve();
  #renews = false;

  constructor({ slots, onStall, ...data }: LockRenewalOptions) {
    this.#queues = data.queues;
    this.table = LockTable.withSlots(slots);
    this.#data = { ...data, memory: this.table.memory };
    this.#onStall = onStall;
  }

  /** Starts the thread, once. */
  begin(): void {
    if (this.#thread !== undefined) return;
    const thread = new Thread(new URL(`./lock-renewal-thread${extname(import.meta.url)}`, import.meta.url), {
      name: "taskloom-lock-renewal",
      // The thread needs no flag of the process, and some flags (--inspect-brk, --input-type) would stop it.
      execArgv: [],
      stdin: false,
      workerData: this.#data,
    });
    this.#thread = thread;
    thread.unref();
    thread.on("message", (message: RenewalThreadMessage) => {
      if (message.type === "stall") this.#onStall({ duration: message.duration, jobs: message.jobs });
      else if (message.type === "renews") this.#renews = true;
      else for (const lane of this.#lanes.get(message.queue) ?? []) lane.lost(message.id, message.sequence);
    });
    // Without the thread the loop renews.
    thread.on("error", () => (this.#renews = false));
    this.#exited = new Promise((resolve) => {
      thread.on("exit", () => {
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

  /** The interval at which the loop renews while the thread starts; undefined if the thread renews no locks. */
  get interval(): number | undefined {
    return this.#data.address === undefined ? undefined : this.#data.interval;
  }

  locksOf(lane: LockedLane): LaneLocks {
    const queue = this.#queues.indexOf(lane.name);
    const locks = new LaneLocks(lane, queue < 0 ? undefined : { queue, table: this.table, thread: this });
    this.#lanes.set(queue, [...(this.#lanes.get(queue) ?? []), locks]);
    return locks;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#thread?.postMessage("close");
    await settleWithin(CLOSE_TIMEOUT_MS, this.#exited);
  }
}

/** @deprecated Use {@link LoopStall}. */
export type Stall = LoopStall;
