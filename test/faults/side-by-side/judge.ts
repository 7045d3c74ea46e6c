import { isDeepStrictEqual } from "node:util";
import type { Ledger } from "../support/ledger.ts";
import type { AddedWork, Outcome } from "./mixed-load.ts";
import type { SeenEnd, SeenEnds } from "./seen-ends.ts";
import { failureOf } from "./work.ts";
import type { Done, Work } from "./work.ts";

/** The findings of a run. */
export interface Verdict {
  readonly faults: readonly string[];
  readonly completed: number;
  readonly failed: number;
  /** Further runs of jobs, each after the death of the worker that ran the job before. */
  readonly reruns: number;
  /** The number of completed jobs by the client that added them and the worker that ran them. */
  readonly pairs: Readonly<Record<`${Done["by"]} to ${Done["by"]}`, number>>;
}

/** Compares the events of each job, its outcome for its client, and its runs with the job's own result. */
export function judge(
  jobs: readonly AddedWork[],
  seen: SeenEnds,
  ledger: Ledger,
  killed: ReadonlySet<number>,
): Verdict {
  const faults: string[] = [];
  const pairs = {
    "taskloom to taskloom": 0,
    "taskloom to bullmq": 0,
    "bullmq to taskloom": 0,
    "bullmq to bullmq": 0,
  };
  const runs = ledger.runs();
  let [failed, reruns] = [0, 0];
  for (const { id, work, client, outcome } of jobs) {
    const ends = seen.of(id);
    if (ends.length !== 1 || !isOwn(ends[0]!, work))
      faults.push(`${client} ${work.key} (${id}): events ${JSON.stringify(ends)}`);
    if (client === "taskloom" && !agrees(outcome, ends[0]))
      faults.push(
        `${work.key} (${id}): event ${JSON.stringify(ends[0])}, outcome ${JSON.stringify(outcome)}`,
      );
    const ofKey = runs.get(work.key) ?? [];
    const unexplained = ofKey.slice(0, -1).filter(({ pid }) => !killed.has(pid));
    if (ofKey.length === 0 || unexplained.length > 0)
      faults.push(`${client} ${work.key} (${id}): runs ${JSON.stringify(ofKey)}`);
    reruns += Math.max(0, ofKey.length - 1);
    const by = workerOf(ends[0]);
    if (by === undefined) failed++;
    else pairs[`${client} to ${by}`]++;
  }
  if (seen.jobs !== jobs.length) faults.push(`events of ${seen.jobs} jobs, but ${jobs.length} were added`);
  return { faults, completed: jobs.length - failed, failed, reruns, pairs };
}

function isOwn(end: SeenEnd, { key, fails }: Work): boolean {
  if ("failure" in end) return fails && end.failure === failureOf(key);
  return !fails && isDone(end.value) && end.value.key === key;
}

/** Returns whether the outcome for a client is the end that an event reports. */
function agrees(outcome: Outcome | undefined, end: SeenEnd | undefined): boolean {
  if (outcome === undefined || end === undefined) return false;
  if ("value" in outcome) return "value" in end && isDeepStrictEqual(outcome.value, end.value);
  return "failure" in end && outcome.error instanceof Error && outcome.error.message === end.failure;
}

function workerOf(end: SeenEnd | undefined): Done["by"] | undefined {
  return end !== undefined && "value" in end && isDone(end.value) ? end.value.by : undefined;
}

function isDone(value: unknown): value is Done {
  return typeof value === "object" && value !== null && "key" in value && "by" in value;
}
