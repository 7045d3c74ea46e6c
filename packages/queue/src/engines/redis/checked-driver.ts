import type { ClaimTerms, LaneDriver, RunEnd, TurnAnswer } from "../../contract/lane-driver.ts";
import type { NewJob } from "../../contract/lane-queue.ts";

/** The parts of {@link CheckedDriver}. */
export interface CheckedDriverOptions {
  readonly driver: LaneDriver;
  /** Takes the place of the driver on a queue whose layout the driver does not know. */
  readonly fallback: LaneDriver;
  /** Resolves with whether the driver knows the layout of the queue. */
  readonly isKnown: () => Promise<boolean>;
  /** Notified if the layout is unknown. */
  readonly onUnknown: () => void;
}

/** The greatest number of jobs that one script claims. Redis does no other work meanwhile. */
const MAX_CLAIMED = 128;

/** A lane on Redis: by scripts that do many steps at once, or by BullMQ's own scripts if the lane's layout is unknown. */
export class CheckedDriver implements LaneDriver {
  readonly #options: CheckedDriverOptions;
  #checking: Promise<LaneDriver> | undefined;
  #checked: LaneDriver | undefined;

  constructor(options: CheckedDriverOptions) {
    this.#options = options;
  }

  get claimLimit(): number {
    return this.#checked?.claimLimit ?? MAX_CLAIMED;
  }

  turn(ends: readonly RunEnd[], claim: ClaimTerms | undefined): Promise<TurnAnswer> {
    // Without an await once the layout is checked, because the command has to leave within the microtasks of the call.
    if (this.#checked !== undefined) return this.#checked.turn(ends, claim);
    return this.#check().then((driver) => driver.turn(ends, claim));
  }

  async add(jobs: readonly NewJob[]): Promise<(string | Error)[]> {
    return await (this.#checked ?? (await this.#check())).add(jobs);
  }

  #check(): Promise<LaneDriver> {
    this.#checking ??= this.#choose().catch((error: unknown) => {
      this.#checking = undefined; // The next command checks again.
      throw error;
    });
    return this.#checking;
  }

  async #choose(): Promise<LaneDriver> {
    const { driver, fallback, isKnown, onUnknown } = this.#options;
    const known = await isKnown();
    if (!known) onUnknown();
    this.#checked = known ? driver : fallback;
    return this.#checked;
  }
}
