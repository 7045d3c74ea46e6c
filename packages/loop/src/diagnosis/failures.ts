import type { EventLoop } from "../kernel/event-loop.ts";
import { UNSEEN } from "../task/future-core.ts";
import type { FutureCore } from "../task/future-core.ts";
import { describe } from "./describe.ts";

interface Record {
  readonly source: string | undefined;
  readonly future: WeakRef<FutureCore<unknown>>;
  readonly error: unknown;
  readonly kind: string;
  /** What the future's slot for the cancel message held, which the record borrows. */
  readonly message: unknown;
}

/**
 * Failures that nobody has looked at. Most are looked at within the turn, so a failure is only noted at
 * first; what is still unseen when the turn is over is watched weakly, and reported when the future is
 * collected, or at the latest when the loop closes.
 */
export class Failures {
  readonly #loop: EventLoop;
  #fresh: FutureCore<unknown>[] = [];
  readonly #watched = new Set<Record>();
  readonly #registry = new FinalizationRegistry<Record>((record) => {
    if (this.#watched.delete(record)) this.#report(record, undefined);
  });

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  noticed(future: FutureCore<unknown>): void {
    this.#fresh.push(future);
    this.#loop._nudge();
  }

  /** The turn is over: watch what is still unseen. */
  sort(): void {
    if (this.#fresh.length === 0) return;
    const fresh = this.#fresh;
    this.#fresh = [];
    for (const future of fresh) {
      if (future._state !== UNSEEN) continue;
      // Somebody is about to be told; look again next time.
      const record: Record = {
        future: new WeakRef(future),
        error: future._value,
        source: this.#loop._monitor?.sourceOf(future),
        kind: future.constructor.name,
        message: future._message,
      };
      future._message = record;
      this.#watched.add(record);
      this.#registry.register(future, record);
    }
  }

  seen(future: FutureCore<unknown>): void {
    const record = future._message as Record;
    if (this.#watched.delete(record)) future._message = record.message;
  }

  reportAll(): void {
    this.sort();
    for (const record of this.#watched) this.#report(record, record.future.deref());
    this.#watched.clear();
  }

  #report(record: Record, future: FutureCore<unknown> | undefined): void {
    this.#loop.callExceptionHandler({
      message: `${record.kind} exception was never retrieved`,
      exception: record.error,
      sourceTraceback: record.source,
      ...(future === undefined ? {} : { future: describe(future) }),
    });
  }
}
