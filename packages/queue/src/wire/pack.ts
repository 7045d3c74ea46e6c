/** What a pack of calls gives: a value for each, and the errors of those that failed, by their place. */
export interface PackResult {
  readonly values: readonly unknown[];
  readonly errors: readonly (readonly [index: number, error: unknown])[];
}
