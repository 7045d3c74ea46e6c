/** The measurements that the bench requests from one of its processes. */
export type Question =
  /** One run of empty sequential steps. */
  | { readonly name: "steps"; readonly count: number }
  /** Runs of some empty sequential steps, at most 100 at a time. */
  | { readonly name: "runs"; readonly count: number; readonly steps: number }
  /** One run that starts all of its steps together. */
  | { readonly name: "gather"; readonly count: number }
  /** One run whose last step does not end; the process sends {@link Hanging} when that step starts. */
  | { readonly name: "hang"; readonly count: number };

/** Times are in milliseconds. */
export interface Figures {
  /** The times between the starts of steps. */
  readonly steps: { readonly times: readonly number[] };
  /** From the first submission to the end of the last run. */
  readonly runs: { readonly time: number };
  readonly gather: { readonly time: number };
  readonly hang: Record<string, never>;
}

/** Sent at each start of the step that does not end: the time since the run's code began in this process. */
export interface Hanging {
  readonly hanging: number;
}
