/** Receives an event of a lane: BullMQ's name of it, and its fields, which any client can have stored. */
export type LaneEventListener = (event: string, fields: Readonly<Record<string, unknown>>) => void;

/** A reader of the events of one lane. */
export interface LaneEvents {
  close(): Promise<void>;
}

/** BullMQ's names of the events that {@link LaneEvents} reports. */
export const LANE_EVENTS = [
  "added",
  "waiting",
  "delayed",
  "active",
  "progress",
  "completed",
  "failed",
  "stalled",
  "removed",
] as const;
