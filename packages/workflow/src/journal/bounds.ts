/** The bounds of a history. Ticks are counted, and so are the characters of their texts. */
export interface HistoryBounds {
  /** The number of ticks from which on commands are refused. */
  readonly maxTicks: number;
  /** The number of characters from which on commands are refused. */
  readonly maxSize: number;
  /** The number of ticks at which the run warns. */
  readonly warnTicks: number;
  /** The number of characters at which the run warns. */
  readonly warnSize: number;
}

const MIB = 1024 * 1024;

export const DEFAULT_BOUNDS: HistoryBounds = {
  maxTicks: 50_000,
  maxSize: 64 * MIB,
  warnTicks: 10_000,
  warnSize: 10 * MIB,
};

/**
 * After the first refusal a run gets this share of its bound for its clean-up: compensations are commands, too, and a
 * run that cannot make them would leave half of its work behind.
 */
export const RESERVE = 0.1;
