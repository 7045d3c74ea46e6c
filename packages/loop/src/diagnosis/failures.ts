import type { Loop } from "../kernel/loop.ts";
import type { FutureCore } from "../task/future-core.ts";
import { UNRETRIEVED } from "../task/states.ts";
import { describe } from "../describe.ts";

interface WatchedFailure {
  readonly source: string | undefined;
  readonly future: WeakRef<FutureCore<unknown>>;
  readonly error: unknown;
  readonly kind: string;
  /** The cancel message of the future, whose slot holds the record meanwhile. */
  readonly message: unknown;
}

/**
 * Failures whose error no code has read. Most errors are read within the turn, so a failure is only recorded at first.
 * At the end of the turn the unread failures are watched weakly. A failure is reported when its future is collected,
 * or at the latest when the loop closes.
 */
export class Failures {
  readonly #loop: Loop;
  #fresh: FutureCore<unknown>[] = [];
  /** Made for the first failure: most loops have none. */
  #watched: Set<WatchedFailure> | null = null;
  #registry: FinalizationRegistry<WatchedFailure> | null = null;

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  /** Notes a failure. If no code reads it within the turn, it is watched. */
  recorded(future: FutureCore<unknown>): void {
    this.#fresh.push(future);
    this.#loop._nudge();
  }

  /** Watches the new failures that no code has read. It is called at the end of each turn. */
  watchUnretrieved(): void {
    if (this.#fresh.length === 0) return;
    const fresh = this.#fresh;
    this.#fresh = [];
    for (const future of fresh) {
      if (future._state !== UNRETRIEVED) continue;
      const record: WatchedFailure = {
        future: new WeakRef(future),
        error: future._value,
        source: this.#loop._monitor?.sourceOf(future),
        kind: future.constructor.name,
        message: future._message,
      };
      future._message = record;
      this.#watch(future, record);
    }
  }

  #watch(future: FutureCore<unknown>, record: WatchedFailure): void {
    this.#watched ??= new Set();
    this.#registry ??= new FinalizationRegistry((collected) => {
      if (this.#watched?.delete(collected) === true) this.#report(collected, undefined);
    });
    this.#watched.add(record);
    this.#registry.register(future, record);
  }

  /** Notes that the error of a failure was read. */
  retrieved(future: FutureCore<unknown>): void {
    const record = future._message as WatchedFailure;
    if (this.#watched?.delete(record) === true) future._message = record.message;
  }

  reportAll(): void {
    this.watchUnretrieved();
    for (const record of this.#watched ?? []) this.#report(record, record.future.deref());
    this.#watched?.clear();
  }

  #report(record: WatchedFailure, future: FutureCore<unknown> | undefined): void {
    this.#loop.callExceptionHandler({
      message: `${record.kind} exception was never retrieved`,
      exception: record.error,
      sourceTraceback: record.source,
      ...(future === undefined ? {} : { future: describe(future) }),
    });
  }
}
