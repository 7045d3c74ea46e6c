import { readFileSync } from "node:fs";
import { CancelledError, TaskloomError } from "@taskloom/loop";
import { TaskQueue, TaskloomQueueError } from "@taskloom/queue";
import type { ChaosClient, Submitted } from "./load.ts";

/** One run of a job, as the job itself recorded it. */
interface Run {
  readonly jobId: string;
  readonly attempt: number;
  readonly pid: number;
  readonly startedAt: number;
  endedAt: number | undefined;
}

/** A period in which a process could not renew its locks, because it was stopped or dead. */
export interface Absence {
  readonly pid: number;
  readonly from: number;
  readonly until: number;
}

/** The faults of a chaos run by kind. After a run without fault, all lists except the counts are empty. */
export interface Audit {
  readonly submissions: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly runs: number;
  readonly reruns: number;
  readonly ticks: number;
  /** Acknowledged jobs without their own, single, final outcome. */
  readonly lost: readonly string[];
  /** Waiters with the value of another job. */
  readonly swapped: readonly string[];
  /** Jobs that succeeded, and are stored or reported as failed. */
  readonly failedSuccesses: readonly string[];
  /** Jobs that were started again although nothing had happened to their worker. */
  readonly doubled: readonly string[];
  /** Outcomes that differ from the stored state. */
  readonly differing: readonly string[];
  /** Refusals without a code. */
  readonly unclear: readonly string[];
}

/** Runs of each key, in the order of their starts. */
export function readLedger(path: string): Map<string, Run[]> {
  const runs = new Map<string, Run[]>();
  for (const line of readFileSync(path, "utf8").split("\n")) {
    const [what, key = "", jobId = "", attempt, pid, at] = line.split(" ");
    if (what === "start") {
      const run = {
        jobId,
        attempt: Number(attempt),
        pid: Number(pid),
        startedAt: Number(at),
        endedAt: undefined,
      };
      runs.set(key, [...(runs.get(key) ?? []), run]);
    } else if (what === "end") {
      const run = runs
        .get(key)
        ?.find((each) => each.pid === Number(pid) && each.jobId === jobId && each.endedAt === undefined);
      if (run !== undefined) run.endedAt = Number(at);
    }
  }
  return runs;
}

/** Compares each submission with its waiter's outcome, the stored state and the ledger. */
export async function audit(
  clients: readonly ChaosClient[],
  engine: string,
  ledger: string,
  absences: readonly Absence[],
): Promise<Audit> {
  const runs = readLedger(ledger);
  const lost: string[] = [];
  const swapped: string[] = [];
  const failedSuccesses: string[] = [];
  const unclear: string[] = [];
  const all = clients.flatMap(({ submitted }) => submitted);
  for (const each of all) {
    const fault = faultOf(each, runs);
    if (fault === undefined) continue;
    const text = `${each.kind} ${each.key} (${each.task.id}): ${fault.text}`;
    ({ lost, swapped, failed: failedSuccesses, unclear })[fault.kind].push(text);
  }
  for (const { wrongItems } of clients) swapped.push(...wrongItems);
  const differing = await compareStored(all, engine);
  const { doubled, reruns } = unexplainedReruns(runs, absences);
  const ticks = clients.reduce((sum, { scheduleKey }) => sum + (runs.get(scheduleKey)?.length ?? 0), 0);
  return {
    submissions: all.length,
    acknowledged: all.filter(({ acknowledged }) => acknowledged).length,
    refused: all.filter((each) => !each.acknowledged && each.outcome !== undefined && "error" in each.outcome)
      .length,
    runs: [...runs.values()].reduce((sum, ofKey) => sum + ofKey.length, 0),
    reruns,
    ticks,
    lost,
    swapped,
    failedSuccesses,
    doubled,
    differing,
    unclear,
  };
}

interface Fault {
  readonly kind: "lost" | "swapped" | "failed" | "unclear";
  readonly text: string;
}

function faultOf(submitted: Submitted, runs: ReadonlyMap<string, readonly Run[]>): Fault | undefined {
  const { key, expected, acknowledged, outcome } = submitted;
  if (outcome === undefined) return { kind: "lost", text: "never ended" };
  if ("value" in outcome) {
    return isOwn(outcome.value, submitted)
      ? undefined
      : { kind: "swapped", text: `received ${JSON.stringify(outcome.value)}` };
  }
  const { error } = outcome;
  if (expected === "cancelled" && error instanceof CancelledError) return undefined;
  if (expected === "failed" && error instanceof Error && error.message === `${key} failed`) return undefined;
  const hasEnded = runs.get(key)?.some(({ endedAt }) => endedAt !== undefined) === true;
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (hasEnded) return { kind: "failed", text };
  if (acknowledged) return { kind: "lost", text };
  const isClear = error instanceof TaskloomQueueError || error instanceof TaskloomError;
  return isClear ? undefined : { kind: "unclear", text };
}

function isOwn(value: unknown, { key, expected, task, children }: Submitted): boolean {
  if (expected === "folded") return typeof value === "string" && value.endsWith(` of ${task.id}`);
  const own = `${key} of ${task.id}`;
  if (expected !== "flow") return value === own;
  const [first, second] = children;
  const parts = [own, `${key}-a of ${first?.id}`, `${key}-b of ${second?.id}`];
  return (
    Array.isArray(value) &&
    value.length === parts.length &&
    parts.every((part, index) => value[index] === part)
  );
}

/** Reads the stored state of every acknowledged job through a client of its own. */
async function compareStored(submitted: readonly Submitted[], engine: string): Promise<string[]> {
  await using queue = new TaskQueue({ engine });
  const acknowledged = submitted.filter(({ acknowledged: is }) => is);
  const states = await queue.states([...new Set(acknowledged.map(({ task }) => task.id))]);
  return acknowledged.flatMap(({ key, kind, task, outcome }) => {
    if (outcome === undefined) return []; // reported as lost
    const seen =
      "value" in outcome ? "completed" : outcome.error instanceof CancelledError ? "cancelled" : "failed";
    const stored = states.get(task.id);
    return stored === seen ? [] : [`${kind} ${key} (${task.id}): stored ${stored}, seen ${seen}`];
  });
}

/**
 * The time in which an end is stored. If a worker dies within this time after a job's end, the end may be
 * missing.
 */
const storedWithin = 10_000;

function unexplainedReruns(
  runs: ReadonlyMap<string, readonly Run[]>,
  absences: readonly Absence[],
): { readonly doubled: string[]; readonly reruns: number } {
  const doubled: string[] = [];
  let reruns = 0;
  for (const [key, ofKey] of runs) {
    const seen = new Map<string, Run>();
    for (const run of ofKey) {
      const name = `${run.jobId} ${run.attempt}`;
      const before = seen.get(name);
      seen.set(name, run);
      if (before === undefined) continue;
      reruns++;
      const lastNeeded = (before.endedAt ?? Infinity) + storedWithin;
      const isExplained = absences.some(
        ({ pid, from, until }) => pid === before.pid && from <= lastNeeded && until >= before.startedAt,
      );
      if (!isExplained) {
        doubled.push(
          `${key} (${name}): first by ${before.pid} from ${before.startedAt} to ${before.endedAt}, again by ${run.pid} at ${run.startedAt}`,
        );
      }
    }
  }
  return { doubled, reruns };
}
