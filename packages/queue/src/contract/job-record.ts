/** The state under which a job is stored, by BullMQ's names. A cancelled job is stored as completed. */
export type StoredState =
  | "active"
  | "waiting"
  | "paused"
  | "prioritized"
  | "delayed"
  | "waiting-children"
  | "failed"
  | "completed";

/** All stored states. Those that operators search most come first. */
export const STORED_STATES: readonly StoredState[] = [
  "active",
  "waiting",
  "paused",
  "prioritized",
  "delayed",
  "waiting-children",
  "failed",
  "completed",
];

/** The end from which a state is read, in the order in which jobs came to the state. */
export type StateOrder = "newest" | "oldest";

/** The fields of a job that can be large: each is JSON, except `failedReason`, which is a plain message. */
export const TEXT_FIELDS = ["data", "opts", "progress", "returnvalue", "stacktrace", "failedReason"] as const;

export type TextField = (typeof TEXT_FIELDS)[number];

/** One field as it is stored. */
export interface StoredText {
  /** Undefined if the field is absent or larger than the reader's limit. */
  readonly text: string | undefined;
  /** The approximate size in bytes; 0 if the field is absent. PostgreSQL counts the compressed size of large values. */
  readonly bytes: number;
}

/**
 * The greatest number of bytes that a reader takes of each field. The record has only the size of a larger field. A field
 * that is not named is not read.
 */
export type FieldLimits = Readonly<Partial<Record<TextField, number>>>;

/** One stored job. Its texts are not parsed, because any client of the database can have written them. */
export interface JobRecord {
  readonly id: string;
  readonly name: string;
  /** Milliseconds of the epoch. */
  readonly timestamp: number;
  readonly processedOn: number | undefined;
  readonly finishedOn: number | undefined;
  /** The state of a job that has ended, on engines that store it beside the record; undefined on others. */
  readonly ended?: "completed" | "failed" | undefined;
  /** The time at which a delayed job is due, in milliseconds of the epoch; undefined in every other state. */
  readonly dueAt: number | undefined;
  readonly attemptsMade: number;
  readonly attemptsStarted: number;
  /** The number of workers that have run the job and died, or lost its lock; 0 where no worker can die alone. */
  readonly recoveries: number;
  readonly texts: Readonly<Record<TextField, StoredText>>;
}

export const ABSENT_TEXT: StoredText = { text: undefined, bytes: 0 };

/** Returns the texts of a record, each as `read` returns it. */
export function textsBy(read: (field: TextField) => StoredText): JobRecord["texts"] {
  return {
    data: read("data"),
    opts: read("opts"),
    progress: read("progress"),
    returnvalue: read("returnvalue"),
    stacktrace: read("stacktrace"),
    failedReason: read("failedReason"),
  };
}

/** Returns the approximate number of bytes that were read for a record. A record without texts has a cost, too. */
export function bytesRead({ id, name, texts }: JobRecord): number {
  let bytes = 256 + id.length + name.length;
  for (const field of TEXT_FIELDS) bytes += texts[field].text === undefined ? 0 : texts[field].bytes;
  return bytes;
}

/**
 * Returns the number of attempts of a job. BullMQ counts each end as an attempt, even the end of a job that was cancelled
 * before its first start. Starts alone would count the runs that were handed back.
 */
export function countedAttempts(attemptsMade: number, attemptsStarted: number): number {
  return Math.min(attemptsMade, attemptsStarted);
}
