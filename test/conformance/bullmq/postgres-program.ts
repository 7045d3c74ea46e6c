import type { KeepJobs } from "bullmq";
import type { NewJob } from "../../../packages/queue/src/contract/lane-queue.ts";
import type { FlowChildOptions } from "./postgres-side.ts";
import { Random } from "../random.ts";

/** The end of a job that runs. Which one is the number of its place among the running jobs of the side. */
export interface PlannedEnd {
  readonly place: number;
  readonly fault: "none" | "foreign token" | "missing job" | "any token";
  readonly failed: boolean;
  readonly text: string;
  readonly stacktrace: string | undefined;
  readonly keep: KeepJobs;
  /** The time since the previous end, in milliseconds; negative if the clock was set back. */
  readonly after: number;
}

export type Operation =
  | { readonly kind: "add"; readonly jobs: readonly NewJob[] }
  | { readonly kind: "flow"; readonly id: string; readonly children: readonly FlowChildOptions[] }
  | { readonly kind: "turn"; readonly ends: readonly PlannedEnd[]; readonly count: number; readonly token: string }
  | { readonly kind: "wait"; readonly time: number }
  | { readonly kind: "pause"; readonly isPaused: boolean }
  | { readonly kind: "concurrency"; readonly most: number | undefined }
  | { readonly kind: "limit"; readonly most: number | undefined; readonly time: number }
  | { readonly kind: "events"; readonly most: number }
  | { readonly kind: "retry" | "wait for children"; readonly place: number }
  | { readonly kind: "delay"; readonly place: number; readonly time: number }
  | { readonly kind: "recover" };

const POLICIES = [
  "failParentOnFailure",
  "continueParentOnFailure",
  "ignoreDependencyOnFailure",
  "removeDependencyOnFailure",
] as const;
const TEXTS = ["null", '"Ünïcode \\"quoted\\" \\\\ text"', '{"b":1,"a":[1,2.50,1e3],"b":2}', "[]", "0", "true"];

/** Returns the operations of a seed. */
export function programOf(seed: number): Operation[] {
  const random = new Random(seed);
  const length = 6 + random.below(12);
  const keeps: KeepJobs[] = random.chance(0.5) ? [{ count: -1 }] : [keepOf(random), keepOf(random)];
  return Array.from({ length }, () => operationOf(random, keeps));
}

function operationOf(random: Random, keeps: readonly KeepJobs[]): Operation {
  const place = random.below(8);
  switch (random.weighted([30, 8, 45, 8, 3, 3, 3, 1, 3, 3, 2, 2])) {
    case 0:
      return { kind: "add", jobs: Array.from({ length: 1 + random.below(6) }, () => jobOf(random)) };
    case 1:
      return {
        kind: "flow",
        id: `parent-${random.below(4)}`,
        children: Array.from({ length: 1 + random.below(3) }, () => childOf(random)),
      };
    case 2:
      return {
        kind: "turn",
        ends: Array.from({ length: random.below(7) }, () => endOf(random, keeps)),
        count: random.below(6),
        token: `token-${random.below(2)}`,
      };
    case 3:
      return { kind: "wait", time: 1 + random.below(3_000) };
    case 4:
      return { kind: "pause", isPaused: random.chance(0.5) };
    case 5:
      return { kind: "concurrency", most: random.chance(0.5) ? 1 + random.below(5) : undefined };
    case 6:
      return {
        kind: "limit",
        most: random.chance(0.6) ? 1 + random.below(4) : undefined,
        time: 500 + random.below(2_000),
      };
    case 7:
      return { kind: "events", most: random.below(60) };
    case 8:
      return { kind: "retry", place };
    case 9:
      return { kind: "delay", place, time: random.below(1_000) };
    case 10:
      return { kind: "wait for children", place };
    default:
      return { kind: "recover" };
  }
}

function jobOf(random: Random): NewJob {
  const name = random.pick(["add", "send"]);
  const data = { args: [random.below(100), random.pick(["é", '"', "\\", "\u2028"])] };
  const opts: NewJob["opts"] = {
    ...(random.chance(0.2) ? { delay: 1 + random.below(100_000) / 16 | 0 } : {}),
    ...(random.chance(0.2) ? { priority: 1 + random.below(3) } : {}),
    ...(random.chance(0.15) ? { lifo: true } : {}),
    ...(random.chance(0.25) ? { jobId: `job-${random.below(6)}` } : {}),
    ...(random.chance(0.2) ? { attempts: 1 + random.below(3) } : {}),
    ...(random.chance(0.12) ? { deduplication: deduplicationOf(random) } : {}),
  };
  return { name, data: data as unknown as NewJob["data"], opts };
}

function deduplicationOf(random: Random): NonNullable<NewJob["opts"]["deduplication"]> {
  return {
    id: `key-${random.below(2)}`,
    ...(random.chance(0.4) ? { ttl: 1 + random.below(2_000) } : {}),
    ...(random.chance(0.3) ? { extend: true } : {}),
    ...(random.chance(0.3) ? { replace: true } : {}),
    ...(random.chance(0.3) ? { keepLastIfActive: true } : {}),
  };
}

function childOf(random: Random): FlowChildOptions {
  return {
    ...(random.chance(0.3) ? { jobId: `job-${random.below(6)}` } : {}),
    ...(random.chance(0.3) ? { priority: 1 + random.below(3) } : {}),
    ...(random.chance(0.7) ? { [random.pick(POLICIES)]: true } : {}),
  };
}

function endOf(random: Random, keeps: readonly KeepJobs[]): PlannedEnd {
  const failed = random.chance(0.3);
  return {
    place: random.below(8),
    fault: random.pick(["none", "none", "none", "none", "none", "none", "foreign token", "missing job", "any token"]),
    failed,
    text: failed ? random.pick(["it failed", "", 'a "quoted"\nreason']) : random.pick(TEXTS),
    stacktrace: failed && random.chance(0.7) ? JSON.stringify(["Error: it failed\n    at x"]) : undefined,
    keep: random.pick(keeps),
    after: random.chance(0.1) ? -random.below(1_500) : random.below(3),
  };
}

function keepOf(random: Random): KeepJobs {
  return random.pick<KeepJobs>([
    { count: random.below(4) },
    { age: random.below(3) },
    { age: 1 + random.below(2), count: random.below(4) },
    { count: 1_000 },
  ]);
}
