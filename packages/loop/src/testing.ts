export { VirtualClock, virtualClock } from "./testing/virtual-clock.ts";
export { explore, ScheduleError } from "./testing/explore.ts";

export type { VirtualClockOptions } from "./testing/virtual-clock.ts";
export type { ExploreOptions } from "./testing/explore.ts";
