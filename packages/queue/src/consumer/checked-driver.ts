import { MAX_CLAIMED } from "../contract/lane-driver.ts";
import type { ClaimTerms, LaneDriver, LaneTurns, RunEnd, TurnAnswer } from "../contract/lane-driver.ts";
import type { NewJob } from "../contract/lane-queue.ts";

/** The parts of {@link CheckedDriver}. */
export interface CheckedDriverOptions {
  readonly driver: LaneDriver;
  /** Takes the place of the driver on a queue whose layout the driver does not know. */
  readonly fallback: LaneTurns;
  /** Adds jobs by BullMQ's own commands, and returns their ids. */
  readonly addByBullMQ: (jobs: readonly NewJob[]) => Promise<string[]>;
  /** Resolves with whether the driver knows the layout of the queue. */
  readonly isKnown: () => Promise<boolean>;
  /** Notified if the layout is unknown. */
  readonly onUnknown: () => void;
}

/** The driver of a lane, or BullMQ's own commands if the engine stores the lane in a layout that the driver does not know. */
export class CheckedDriver implements LaneDriver {
  readonly #options: CheckedDriverOptions;
  #checking: Promise<LaneTurns> | undefined;
  #checked: LaneTurns | undefined;

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
    const { driver, addByBullMQ } = this.#options;
    const checked = this.#checked ?? (await this.#check());
    return checked === driver ? await driver.add(jobs) : await addByBullMQ(jobs);
  }

  #check(): Promise<LaneTurns> {
    this.#checking ??= this.#choose().catch((error: unknown) => {
      this.#checking = undefined; // The next command checks again.
      throw error;
    });
    return this.#checking;
  }

  async #choose(): Promise<LaneTurns> {
    const { driver, fallback, isKnown, onUnknown } = this.#options;
    const known = await isKnown();
    if (!known) onUnknown();
    this.#checked = known ? driver : fallback;
    return this.#checked;
  }
}
