import type { ClaimTerms, LaneTurns, RunEnd, TurnAnswer } from "../../contract/lane-driver.ts";

/** The parts of {@link RedisTurns}. */
export interface RedisTurnsOptions {
  readonly driver: LaneTurns;
  /** Takes the place of the driver on a queue whose layout the driver does not know. */
  readonly fallback: LaneTurns;
  /** Resolves with whether the driver knows the layout. */
  readonly isKnown: () => Promise<boolean>;
  /** Notified once if the layout is unknown. */
  readonly onUnknown: () => void;
  /** Receives the ends of each turn that was answered. */
  readonly onEnds: (ends: readonly RunEnd[]) => void;
}

/** The turns of a lane on Redis: by scripts that do many steps at once, or by BullMQ's own scripts if its layout is unknown. */
export class RedisTurns implements LaneTurns {
  readonly #options: RedisTurnsOptions;
  #turns: LaneTurns | undefined;

  constructor(options: RedisTurnsOptions) {
    this.#options = options;
  }

  get claimLimit(): number {
    return this.#turns?.claimLimit ?? MAX_CLAIMED;
  }

  turn(ends: readonly RunEnd[], claim: ClaimTerms | undefined): Promise<TurnAnswer> {
    const turns = this.#turns;
    const answer = turns === undefined ? this.#first(ends, claim) : turns.turn(ends, claim);
    if (ends.length > 0) this.#options.onEnds(ends);
    return answer;
  }

  async #first(ends: readonly RunEnd[], claim: ClaimTerms | undefined): Promise<TurnAnswer> {
    const { driver, fallback, isKnown, onUnknown } = this.#options;
    const known = await isKnown();
    if (!known) onUnknown();
    this.#turns = known ? driver : fallback;
    return await this.#turns.turn(ends, claim);
  }
}

/** The greatest number of jobs that one script claims. Redis does no other work meanwhile. */
const MAX_CLAIMED = 128;
