/** The error of a call of a pack, with the index of the call and the number of its last attempt. */
export type PackError = readonly [
  index: number,
  error: unknown,
  /** Undefined in the result of a worker that does not store it. */
  attempt: number | undefined,
];

/** The result of a pack: one value for each call, and the errors of the calls that failed. */
export interface PackResult<R = unknown> {
  readonly values: readonly R[];
  readonly errors: readonly PackError[];
  /** The number of attempts that each call had in all. Only the result of a pack with errors has it. */
  readonly attempts?: number;
}
