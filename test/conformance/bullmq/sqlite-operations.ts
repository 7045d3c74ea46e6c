import { Job } from "bullmq";
import { errorOf } from "./errors-of.ts";
import type { AddedJob, Claim, End, Operation } from "./operation.ts";
import type { Answer } from "./side.ts";
import { flowOf, optionsOf } from "./sqlite-lane.ts";
import type { SqliteLane } from "./sqlite-lane.ts";

/** Returns the text of an end. A result is JSON in the form that `JSON.stringify` writes. */
export function textOf({ outcome, text }: Pick<End, "outcome" | "text">): string {
  return outcome === "failed" || /^["{[]|^null$/.test(text) ? text : JSON.stringify(text);
}

const plain = (result: unknown): Answer => ({ results: [result], claimed: [], isLimited: false, nextDue: 0 });

/** Executes an operation through BullMQ's own commands, one by one. */
export async function bullApply(lane: SqliteLane, operation: Operation, now: number): Promise<Answer> {
  switch (operation.kind) {
    case "add":
      return await addAll(lane, operation.jobs);
    case "turn":
      return await turn(lane, operation.ends, operation.claim, now);
    case "flow":
      await lane.flows.add(flowOf(lane, operation.flow));
      return plain(null);
    case "advance":
      return plain(null);
    default:
      await change(lane, operation);
      return plain(null);
  }
}

async function addAll({ queue }: SqliteLane, jobs: readonly AddedJob[]): Promise<Answer> {
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
  return { results, claimed: [], isLimited: false, nextDue: 0 };
}

async function turn(
  lane: SqliteLane,
  ends: readonly End[],
  claim: Claim | undefined,
  now: number,
): Promise<Answer> {
  const results: unknown[] = [];
  for (const end of ends)
    results.push(
      await endJob(lane, end, now - end.ago).then(
        () => null,
        (error) => errorOf(error),
      ),
    );
  const claimed: { id: string; record: unknown }[] = [];
  let [isLimited, nextDue] = [false, 0];
  for (let taken = 0; taken < (claim?.count ?? 0); taken++) {
    const [record, id, limitedFor, due]: unknown[] = await lane.backend.moveToActive(
      claim!.token,
      claim!.workerName,
    );
    if (record == null) {
      isLimited = Number(limitedFor) > 0;
      nextDue = Number(due);
      break;
    }
    claimed.push({ id: String(id), record: record });
  }
  return { results, claimed, isLimited, nextDue };
}

/** Stores an end at a time. The command reads the time before it waits for anything. */
async function endJob({ queue, backend }: SqliteLane, end: End, time: number): Promise<void> {
  const job = new Job(queue, "job", {}, {}, end.id);
  const { token, keep, stacktrace } = end;
  const clock = Date.now;
  Date.now = () => time;
  // The backend takes a count of 0 for all finished jobs of the queue, and not for this one.
  const removal = keep.count === 0 && !("age" in keep) ? true : keep;
  const stored =
    end.outcome === "failed"
      ? backend.moveToFailed(job, end.text, removal, token, false, { stacktrace })
      : backend.moveToCompleted(job, JSON.parse(textOf(end)), removal, token, false);
  Date.now = clock;
  await stored;
}

type Change = Exclude<Operation, { kind: "add" | "turn" | "flow" | "advance" }>;

/** Executes an operation that is the same on both sides. */
async function change({ queue, backend, database }: SqliteLane, operation: Change): Promise<unknown> {
  switch (operation.kind) {
    case "pause":
      return await queue.pause();
    case "resume":
      return await queue.resume();
    case "expire limit":
      return await backend.removeRateLimitKey();
    case "recover stalled":
      return await backend.moveStalledJobsToWait();
    case "remove limits":
      await queue.removeGlobalRateLimit();
      return await queue.removeGlobalConcurrency();
    case "limit rate":
      return await queue.setGlobalRateLimit(operation.max, operation.duration);
    case "limit concurrency":
      return await queue.setGlobalConcurrency(operation.count);
    case "clean":
      return await queue.clean(0, 3, operation.state);
    case "old marker":
      return null; // BullMQ 4 had no SQLite.
    default:
      return await changeJob({ queue, backend, database }, operation);
  }
}

async function changeJob(
  { queue, backend, database }: Pick<SqliteLane, "queue" | "backend" | "database">,
  operation: Extract<Change, { id: string }>,
): Promise<unknown> {
  const { id, token } = operation;
  switch (operation.kind) {
    case "lose lock":
      return await database.statements([
        [
          "UPDATE job SET lock_token = NULL, locked_until = 1 WHERE q = (SELECT q FROM queue WHERE name = ?) AND id = ? AND state = 1",
          [queue.name, id],
        ],
      ]);
    case "lose priority":
    case "leave active list":
      return null; // A job is one row here: it always has a priority, and is in no list.
    case "remove":
      return await queue.remove(id);
    case "promote":
      return await backend.promote(id);
    case "retry": {
      const job = await queue.getJob(id);
      return await job?.retry((await job.getState()) === "completed" ? "completed" : "failed");
    }
    case "log":
      return await backend.addLog(id, "a line");
    case "put back":
      return await backend.moveJobFromActiveToWait(id, token);
    case "retry later":
      return operation.delay < 300
        ? await backend.retryJob(id, false, token)
        : await backend.moveToDelayed(id, Date.now(), operation.delay, token);
    case "change delay":
      return await backend.changeDelay(id, operation.delay);
    case "change priority":
      return await backend.changePriority(id, operation.priority, operation.lifo);
  }
}
