export { CrashDivergedError, exploreCrashes } from "./testing/explore-crashes.ts";
export { checkReplay } from "./run/check-replay.ts";
export { LifeError } from "./testing/life.ts";
export { sendHere } from "./authoring/signals.ts";

export type { Explored, ExploreCrashesOptions, Sending } from "./testing/explore-crashes.ts";
export type { Lived } from "./testing/life.ts";
export type { Recorded } from "./run/check-replay.ts";
