import { QueueEvents } from "bullmq";
import type { QueueEventsOptions } from "bullmq";
import { LANE_EVENTS } from "../contract/lane-events.ts";
import type { LaneEventListener, LaneEvents } from "../contract/lane-events.ts";
import type { AnyBackend } from "./any-backend.ts";

/** Reads the events of a lane by BullMQ's QueueEvents, from the id `lastEventId` of the options on. */
export function readEvents(
  name: string,
  listener: LaneEventListener,
  options: QueueEventsOptions,
  backend?: AnyBackend,
): LaneEvents {
  const events = new QueueEvents(name, options, backend as never);
  events.on("error", () => {}); // BullMQ's connections retry by themselves.
  for (const event of LANE_EVENTS)
    events.on(event, (fields: object) => listener(event, fields as Readonly<Record<string, unknown>>));
  return events;
}
