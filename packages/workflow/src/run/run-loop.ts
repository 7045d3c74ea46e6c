import { getRunningLoop } from "@taskloom/loop";
import { DurableLoop } from "@taskloom/loop/durable";
import type { Seeded } from "./seeded.ts";
import { beginStandIns, endStandIns } from "./stand-ins.ts";

/** The private loop of one run. */
export class RunLoop<R> extends DurableLoop {
  readonly run: R;
  readonly #seeded: Seeded | null;
  #isStoodIn = false;

  /** @param seeded the source of the stand-ins for random globals; null for no stand-ins. */
  constructor(time: number, run: R, seeded: Seeded | null) {
    super(time);
    this.run = run;
    this.#seeded = seeded;
  }

  protected override turnBegins(): void {
    if (this.#seeded === null) return;
    beginStandIns(this.time(), this.#seeded);
    this.#isStoodIn = true;
  }

  protected override turnEnds(): void {
    if (!this.#isStoodIn) return;
    this.#isStoodIn = false;
    endStandIns();
  }
}

/** Returns the loop of the run whose code calls, or null outside any run. */
export function currentRunLoop(): RunLoop<unknown> | null {
  let loop: unknown;
  try {
    loop = getRunningLoop();
  } catch {
    return null;
  }
  return loop instanceof RunLoop ? loop : null;
}
