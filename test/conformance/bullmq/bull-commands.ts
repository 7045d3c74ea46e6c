import type { FlowJob, FlowProducer, IQueueBackend, Queue } from "bullmq";
import { errorOf } from "./errors-of.ts";
import type { AddedJob, Claim, End, FlowNode, Operation } from "./operation.ts";
import type { Answer } from "./side.ts";

/** The operations that need more than BullMQ's own commands: they reach into the stored data of one engine. */
export type Reach = Extract<
  Operation,
  {
    kind:
      | "old marker"
      | "expire limit"
      | "recover stalled"
      | "lose lock"
      | "lose priority"
      | "leave active list";
  }
>;
type Change = Exclude<Operation, { kind: "add" | "turn" | "flow" | "advance" }>;

/** The main lane of a side, with the parts in which the engines differ. */
export interface BullLane {
  readonly queue: Queue;
  readonly backend: IQueueBackend;
  readonly flows: FlowProducer;
  add(jobs: readonly AddedJob[]): Promise<Answer>;
  flowOf(flow: FlowNode): FlowJob;
  /** Stores an end as if the time were `time`. */
  end(end: End, time: number): Promise<unknown>;
  reach(operation: Reach): Promise<unknown>;
  /** Returns a claimed record in a form that both sides share. */
  readonly comparable: (record: unknown) => unknown;
}

/** Returns the answer of an operation that claims nothing. */
export function answerWith(results: readonly unknown[]): Answer {
  return { results: [...results], claimed: [], isLimited: false, nextDue: 0 };
}

/** Executes an operation through BullMQ's own commands, one by one. */
export async function applyByBullMQ(lane: BullLane, operation: Operation, now: number): Promise<Answer> {
  switch (operation.kind) {
    case "add":
      return await lane.add(operation.jobs);
    case "turn":
      return await turn(lane, operation, now);
    case "flow":
      await lane.flows.add(lane.flowOf(operation.flow));
      return answerWith([null]);
    case "advance":
      return answerWith([null]);
    default:
      await change(lane, operation);
      return answerWith([null]);
  }
}

async function turn(
  lane: BullLane,
  { ends, claim }: Extract<Operation, { kind: "turn" }>,
  now: number,
): Promise<Answer> {
  const results: unknown[] = [];
  for (const end of ends)
    results.push(
      await lane.end(end, now - end.ago).then(
        () => null,
        (error) => errorOf(error),
      ),
    );
  return { results, ...(await claimSingly(lane, claim)) };
}

async function claimSingly(
  { backend, comparable }: BullLane,
  claim: Claim | undefined,
): Promise<Omit<Answer, "results">> {
  const claimed: { id: string; record: unknown }[] = [];
  for (let taken = 0; taken < (claim?.count ?? 0); taken++) {
    const [record, id, limitedFor, due]: unknown[] = await backend.moveToActive(
      claim!.token,
      claim!.workerName,
    );
    if (record == null) return { claimed, isLimited: Number(limitedFor) > 0, nextDue: Number(due) };
    claimed.push({ id: String(id), record: comparable(record) });
  }
  return { claimed, isLimited: false, nextDue: 0 };
}

/** Executes an operation that is the same on both sides. */
async function change(lane: BullLane, operation: Change): Promise<unknown> {
  const { queue } = lane;
  switch (operation.kind) {
    case "pause":
      return await queue.pause();
    case "resume":
      return await queue.resume();
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
    case "expire limit":
    case "recover stalled":
    case "lose lock":
    case "lose priority":
    case "leave active list":
      return await lane.reach(operation);
    default:
      return await changeJob(lane, operation);
  }
}

async function changeJob(
  { queue, backend }: BullLane,
  operation: Exclude<Extract<Change, { id: string }>, Reach>,
): Promise<unknown> {
  const { id, token } = operation;
  switch (operation.kind) {
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
