import type { Engine } from "@taskloom/queue";
import { listJobs } from "@taskloom/queue/operating";
import type { JobState } from "@taskloom/queue/operating";
import { runOf } from "./read-run.ts";
import type { RunSnapshot, RunState } from "./read-run.ts";

/** The query of {@link listRuns}. */
export interface RunQuery {
  /** Only runs of the workflow of this name. */
  readonly name?: string;
  readonly state?: RunState;
  /** Only runs with this tag. */
  readonly tag?: string;
  /** Only runs that were submitted at this time or later, in milliseconds since 1970. */
  readonly since?: number;
  /** A text in the id, the name, the tags or the arguments, in upper or lower case. */
  readonly text?: string;
  /** The greatest number of runs of the page. Default 50. */
  readonly limit?: number;
  /** The `next` of an earlier page. */
  readonly cursor?: string;
}

/** One page of runs. */
export interface RunPage {
  readonly runs: readonly RunSnapshot[];
  /** The number of runs that were read for this page. */
  readonly searched: number;
  /** The cursor of the next page; undefined after the last run. */
  readonly next?: string;
}

const DEFAULT_LIMIT = 50;

/**
 * Lists runs of several queues. The run that was submitted last comes first. A page reads a bounded number of runs: it can
 * have fewer than `limit`, even none, and a cursor for the next page.
 */
export async function listRuns(engine: Engine, queues: readonly string[], query: RunQuery): Promise<RunPage> {
  const { name, state, limit = DEFAULT_LIMIT, ...rest } = query;
  const page = await listJobs(engine, queues, {
    ...rest,
    limit,
    lane: "workflow",
    ...(name === undefined ? {} : { task: name }),
    ...(state === undefined ? {} : { state: jobStateOf(state) }),
  });
  const runs = await Promise.all(page.jobs.map((job) => runOf(engine, job)));
  return {
    runs: runs.filter((run) => state === undefined || run.state === state),
    searched: page.searched,
    ...(page.next === undefined ? {} : { next: page.next }),
  };
}

/** The engine stores a parked run as a delayed job. */
function jobStateOf(state: RunState): JobState {
  return state === "parked" ? "delayed" : state;
}
