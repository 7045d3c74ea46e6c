/** The measurements that the bench requests from one of its processes. */
export type Question =
  /** One run of empty sequential steps. */
  | { readonly name: "steps"; readonly count: number }
  /** Runs of some empty sequential steps, at most 100 at a time. */
  | { readonly name: "runs"; readonly count: number; readonly steps: number }
  /** One run that starts all of its steps together. */
  | { readonly name: "gather"; readonly count: number }
  /** One run whose last step does not end; the process sends {@link Hanging} when that step starts. */
  | { readonly name: "hang"; readonly count: number }
  | Submitting
  /** A signal to a run, with a number that comes back from the run's next step. */
  | { readonly name: "signal"; readonly id: string; readonly n: number }
  /** The state of a worker, after a collection of garbage. */
  | { readonly name: "state" };

/** Runs that are submitted, and not awaited. */
export interface Submitting {
  readonly name: "submit";
  readonly workflow: "waiting" | "resident" | "sleeper" | "endless";
  readonly count: number;
  /** The length of the history of `waiting`; the time at which the first `sleeper` wakes, in milliseconds since 1970. */
  readonly from: number;
  /** Milliseconds between the times of sleepers. */
  readonly each: number;
}

/** Times are in milliseconds. */
export interface Figures {
  /** The times between the starts of steps. */
  readonly steps: { readonly times: readonly number[] };
  /** From the first submission to the end of the last run. */
  readonly runs: { readonly time: number };
  readonly gather: { readonly time: number };
  readonly hang: Record<string, never>;
  readonly submit: { readonly ids: readonly string[] };
  /** The time of the sending, as {@link Reported}. */
  readonly signal: { readonly at: number };
  /** Runs in memory, bytes of memory, and the number of sleepers that have woken. */
  readonly state: {
    readonly resident: number;
    readonly heap: number;
    readonly rss: number;
    readonly fired: number;
  };
}

/** Sent at each start of the step that does not end: the time since the run's code began in this process. */
export interface Hanging {
  readonly hanging: number;
}

/** Sent at the start of a step that reports. `at` is in milliseconds of the clock that all processes share. */
export interface Reported {
  readonly n: number;
  readonly at: number;
}
