import { pages } from "@taskloom/queue/operating";
import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import { ReplayDivergedError } from "../errors.ts";
import type { RunPage, RunQuery } from "./list-runs.ts";
import type { RunSnapshot, RunState } from "./read-run.ts";
import { replayLog, workflowOf } from "./replay-log.ts";

/** A run whose history the given code does not follow. */
export interface DivergedRun {
  readonly id: string;
  readonly queue: string;
  /** The name of the workflow. */
  readonly task: string;
  readonly error: ReplayDivergedError;
}

/** The result of a check of histories. */
export interface HistoryCheck {
  /** The number of runs that were replayed. */
  readonly checked: number;
  /** The runs of workflows and versions that were not given, by `name@version`. */
  readonly unchecked: Readonly<Record<string, number>>;
  readonly diverged: readonly DivergedRun[];
}

/** Reads the runs to check. */
export interface HistorySource {
  runs(query: RunQuery): Promise<RunPage>;
  /** Reads the whole record of a run; undefined for one that has gone. A listing leaves large arguments out. */
  run(id: string, queue: string): Promise<RunSnapshot | undefined>;
  log(run: RunSnapshot): AsyncIterable<readonly string[]>;
}

const ALIVE: readonly RunState[] = ["active", "parked", "waiting"];

/** Replays the histories of all runs that are alive, without effects, one after the other. */
export async function checkRuns(
  source: HistorySource,
  workflows: readonly WorkflowDefinition[],
): Promise<HistoryCheck> {
  let checked = 0;
  const unchecked: Record<string, number> = {};
  const diverged: DivergedRun[] = [];
  const seen = new Set<string>();
  for await (const listed of aliveRuns(source)) {
    if (seen.has(listed.id)) continue;
    seen.add(listed.id); // A run changes its state during the check, and its list with it.
    const workflow = workflowOf(listed, workflows);
    if (workflow === undefined) {
      const name = `${listed.task}@${listed.version ?? 1}`;
      unchecked[name] = (unchecked[name] ?? 0) + 1;
      continue;
    }
    const error = await checkRun(source, workflow, listed);
    checked++;
    if (error !== undefined) {
      diverged.push({ id: listed.id, queue: listed.queue, task: listed.task, error });
    }
  }
  return { checked, unchecked, diverged };
}

async function* aliveRuns(source: HistorySource): AsyncGenerator<RunSnapshot, void> {
  for (const state of ALIVE) {
    for await (const page of pages((at) => source.runs({ state, ...at }))) yield* page.runs;
  }
}

async function checkRun(
  source: HistorySource,
  workflow: WorkflowDefinition,
  listed: RunSnapshot,
): Promise<ReplayDivergedError | undefined> {
  for (;;) {
    const run = await source.run(listed.id, listed.queue);
    if (run === undefined) return undefined;
    let error: ReplayDivergedError | undefined;
    try {
      await replayLog(workflow, run, source.log(run), () => {});
    } catch (thrown) {
      if (!(thrown instanceof ReplayDivergedError)) throw thrown;
      error = thrown;
    }
    if (error === undefined) return undefined;
    // A run that continued as another history in between has mixed both.
    const after = await source.run(listed.id, listed.queue);
    if (after === undefined || after.generation === run.generation) return error;
  }
}
