export { VirtualClock, virtualClock } from "./testing/virtual-clock.ts";

export type { VirtualClockOptions } from "./testing/virtual-clock.ts";
