/** The result of a pack: one value for each call, and the errors of the calls that failed, by their index. */
export interface PackResult<R = unknown> {
  readonly values: readonly R[];
  readonly errors: readonly (readonly [index: number, error: unknown])[];
}
