/** Where BullMQ stores a job, by BullMQ's names. A cancelled job is among the completed ones. */
export type StoredState =
  | "active"
  | "waiting"
  | "paused"
  | "prioritized"
  | "delayed"
  | "waiting-children"
  | "failed"
  | "completed";

/** From which end a state is read: by the order in which jobs came to it. */
export type StateOrder = "newest" | "oldest";

/** The fields of a job that can be large: each is JSON, except `failedReason`, which is a plain message. */
export const TEXT_FIELDS = ["data", "opts", "progress", "returnvalue", "stacktrace", "failedReason"] as const;

export type TextField = (typeof TEXT_FIELDS)[number];

/** One field as it is stored. */
export interface StoredText {
  /** Undefined when the field is absent, or larger than the reader's limit. */
  readonly text: string | undefined;
  /** About how large the field is, in bytes; 0 when it is absent. PostgreSQL compresses large values, and counts that. */
  readonly bytes: number;
}

/**
 * How many bytes of each field a reader takes: a larger field is not read, and the record has its size alone. A field
 * that is not named is not read at all.
 */
export type FieldLimits = Readonly<Partial<Record<TextField, number>>>;

/** One stored job, with none of its texts parsed: any client of the database can have written them. */
export interface JobRecord {
  readonly id: string;
  readonly name: string;
  /** Milliseconds of the epoch. */
  readonly timestamp: number;
  readonly processedOn: number | undefined;
  readonly finishedOn: number | undefined;
  readonly attemptsMade: number;
  readonly attemptsStarted: number;
  readonly texts: Readonly<Record<TextField, StoredText>>;
}

export const ABSENT_TEXT: StoredText = { text: undefined, bytes: 0 };

/** The texts of a record, each as `read` returns it. */
export function textsBy(read: (field: TextField) => StoredText): JobRecord["texts"] {
  return Object.fromEntries(TEXT_FIELDS.map((field) => [field, read(field)])) as JobRecord["texts"];
}

/** About how many bytes were read for a record; each costs something even when all its texts are empty. */
export function bytesRead({ id, name, texts }: JobRecord): number {
  let bytes = 256 + id.length + name.length;
  for (const field of TEXT_FIELDS) bytes += texts[field].text === undefined ? 0 : texts[field].bytes;
  return bytes;
}

/**
 * How often a job was tried. BullMQ counts each end as an attempt, also that of a job which is cancelled before it ever
 * started; starts alone would count the runs that were handed back.
 */
export function countedAttempts(attemptsMade: number, attemptsStarted: number): number {
  return Math.min(attemptsMade, attemptsStarted);
}
