import { Job } from "bullmq";
import type { FlowJob, JobsOptions, KeepJobs, Queue } from "bullmq";
import { answerWith } from "./bull-commands.ts";
import type { BullLane } from "./bull-commands.ts";
import { errorOf } from "./errors-of.ts";
import type { AddedJob, End, FlowNode } from "./operation.ts";
import type { Answer } from "./side.ts";

/** The parts of a lane that both SQL engines share. */
type SqlParts = Pick<BullLane, "queue" | "backend" | "add" | "flowOf" | "end">;

/** @param keepOf returns the retention of an end as BullMQ's command takes it. */
export function sqlParts(
  queue: Queue,
  keepOf: (keep: KeepJobs) => KeepJobs | true = (keep) => keep,
): SqlParts {
  const { backend } = queue;
  return {
    queue,
    backend,
    add: (jobs) => addAll(queue, jobs),
    flowOf: (flow) => flowOf(queue, flow),
    end: async (end, time) => {
      const job = new Job(queue, "job", {}, {}, end.id);
      const { token, stacktrace } = end;
      const keep = keepOf(end.keep);
      // The command reads the time before it waits for anything.
      const clock = Date.now;
      Date.now = () => time;
      const stored =
        end.outcome === "failed"
          ? backend.moveToFailed(job, end.text, keep, token, false, { stacktrace })
          : backend.moveToCompleted(job, JSON.parse(textOf(end)), keep, token, false);
      Date.now = clock;
      await stored;
    },
  };
}

/** Returns the name of the lane beside a main lane, which only has parents. */
export function otherLane(name: string): string {
  return name.replace("main", "other");
}

/** Returns a job's options with the lane of its parent. */
export function optionsOf({ opts, parent }: AddedJob, lane: string): JobsOptions {
  return parent === undefined ? opts : { ...opts, parent: { id: parent, queue: lane } };
}

/** Returns the text of an end as a SQL engine stores it: a result must be JSON, in the form that `JSON.stringify` writes. */
export function textOf({ outcome, text }: Pick<End, "outcome" | "text">): string {
  return outcome === "failed" || /^["{[]|^null$/.test(text) ? text : JSON.stringify(text);
}

async function addAll(queue: Queue, jobs: readonly AddedJob[]): Promise<Answer> {
  const results: unknown[] = [];
  for (const job of jobs) {
    const added = Job.create(queue, job.name, job.data, optionsOf(job, queue.name));
    results.push(
      await added.then(
        ({ id }) => id,
        (error) => errorOf(error),
      ),
    );
  }
  return answerWith(results);
}

function flowOf(queue: Queue, { lane, name, data, opts, children }: FlowNode): FlowJob {
  const own: FlowJob = { name, queueName: lane === "main" ? queue.name : otherLane(queue.name), data, opts };
  return children.length === 0 ? own : { ...own, children: children.map((child) => flowOf(queue, child)) };
}
