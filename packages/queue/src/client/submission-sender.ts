import { getEventLoop } from "@taskloom/loop";
import { pauseBeforeRepeat } from "../contract/transient.ts";
import { EngineFullError } from "../errors.ts";
import { storedId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { messageOf } from "../message-of.ts";
import type { LaneQueues } from "../operate/lane-queues.ts";
import { addJobs } from "./add-jobs.ts";
import { askOtherLane } from "./other-lane.ts";
import { isKeepable } from "./kept-submissions.ts";
import type { KeptSubmissions } from "./kept-submissions.ts";
import type { PendingJobs } from "./pending-jobs.ts";
import { outcomesOf } from "./flow.ts";
import { SENDING, UNSENT } from "./submission.ts";
import type { Submission } from "./submission.ts";

/** The largest part of a batch. The next part is encoded while the engine works on the one before. */
const MAX_PART = 500;

/** The pause before a job that another process is adding to the other lane is looked up again. */
const ON_THE_WAY_PAUSE_MS = 10;

/** The pause before a submission is sent again that has to run after a running job of the other lane. */
const BEHIND_PAUSE_MS = 500;

/** The part of {@link OutcomeWatch} that the sender needs. */
interface Watch {
  listen(): Promise<void>;
  check(submissions: readonly Submission[]): Promise<void>;
}

/** Collects the submissions of a turn, and adds them at its end in one round trip for each lane. */
export class SubmissionSender {
  readonly #queues: LaneQueues;
  readonly #pending: PendingJobs;
  readonly #kept: KeptSubmissions;
  readonly #watch: Watch;
  #collected: Submission[] = [];
  /** The number of batches in a row that the engine did not accept. */
  #failures = 0;
  /** The entry of the last limited jobs into their lines. */
  #joining: Promise<void> = Promise.resolve();
  constructor(queues: LaneQueues, pending: PendingJobs, kept: KeptSubmissions, watch: Watch) {
    this.#queues = queues;
    this.#pending = pending;
    this.#kept = kept;
    this.#watch = watch;
  }

  /** Takes a submission, which is sent at the end of this turn unless it has ended by then. */
  collect(submission: Submission): void {
    submission.change(UNSENT);
    if (this.#collected.length === 0) this.#queues.engine.defer(() => void this.#sendCollected());
    this.#collected.push(submission);
  }

  /**
   * Sends a job again that the engine has lost. For the parent of a flow, the engine has lost the links to the children
   * as well: the parent is sent when the children have ended, with their outcomes.
   */
  sendAgain(submission: Submission): void {
    submission.change(UNSENT);
    submission.mayHaveArrived = true;
    const { children, data } = submission;
    if (children === undefined) return this.collect(submission);
    void outcomesOf(children).then((outcomes) => {
      if (!this.#pending.holds(submission)) return;
      data.flow!.outcomes = outcomes;
      this.collect(submission);
    });
  }

  /** Sends submissions by a command of their own, which `add` executes. */
  async send(submissions: readonly Submission[], add: () => Promise<unknown>): Promise<void> {
    await this.#connected(submissions, async () => {
      await add();
      this.#pending.confirm(submissions);
    });
  }

  /** Adds the jobs of a flow in one step. If the parent, which is the last of them, is stored, all of them are. */
  async sendFlow(submissions: readonly Submission[], add: () => Promise<unknown>): Promise<void> {
    const parent = submissions.at(-1)!;
    await this.send(submissions, async () => {
      let mayHaveArrived = false;
      for (let times = 1; this.#pending.holds(parent); times++) {
        try {
          if (!mayHaveArrived || !(await this.#isStored(parent))) await add();
          return;
        } catch (error) {
          const reason = this.#repeatable(error);
          mayHaveArrived ||= reason === "cut";
          const pause = pauseBeforeRepeat(times);
          await new Promise<void>((resolve) => getEventLoop().callLater(pause, resolve));
        }
      }
    });
  }

  /** A flow that was stored is not added again: a child that has failed by then would let its parent wait for ever. */
  async #isStored({ lane, id }: Submission): Promise<boolean> {
    const [stored] = await this.#queues.lookup(lane, [id]);
    return stored?.kind !== "missing";
  }

  async #sendCollected(): Promise<void> {
    const batch = this.#collected.filter(({ state }) => state.kind === "unsent");
    this.#collected = [];
    if (batch.length === 0) return;
    for (const submission of batch) submission.change(SENDING);
    await this.#connected(batch, async () => {
      const groups = this.#queues.groups(batch, (submission) => submission);
      await Promise.all(groups.map(({ lane, items }) => this.#sendGroup(lane, items)));
    });
  }

  /** Sends submissions of one lane on one shard. An error does not affect the other lanes and shards. */
  async #sendGroup(lane: Lane, ofLane: readonly Submission[]): Promise<void> {
    try {
      const { jobs: elsewhere, onTheWay, behind } = await askOtherLane(this.#queues, lane, ofLane);
      if (onTheWay.size > 0) this.#collectLater(ON_THE_WAY_PAUSE_MS, onTheWay);
      if (behind.size > 0) this.#collectLater(BEHIND_PAUSE_MS, behind);
      this.#confirm([...elsewhere.keys()], elsewhere);
      await this.#addInParts(
        lane,
        ofLane.filter((each) => !onTheWay.has(each) && !behind.has(each) && !elsewhere.has(each)),
      );
    } catch (error) {
      await this.#notAdded(lane, ofLane, error);
    }
  }

  /**
   * Returns the reason for which the engine failed a command that can be repeated, or throws the error of any other
   * command. A command that a full engine has refused is not repeated, since its caller knows best how long it can wait.
   */
  #repeatable(error: unknown): "refused" | "cut" {
    const reason = this.#queues.engine.transient(error);
    if (reason === undefined || reason === "full") throw error;
    return reason;
  }

  async #connected(submissions: readonly Submission[], send: () => Promise<unknown>): Promise<void> {
    try {
      await this.#queues.engine.connect();
      await this.#watch.listen();
      this.#setDeadlines(submissions);
      await send();
    } catch (error) {
      this.#pending.fail(submissions, this.#refusal(error));
    }
  }

  /** Returns the error of submissions that fail. If the engine is full, an EngineFullError replaces the engine's error. */
  #refusal(error: unknown): unknown {
    const { engine } = this.#queues;
    if (engine.transient(error) !== "full" || error instanceof EngineFullError) return error;
    return new EngineFullError(
      `${engine.url} has no room left, so the job was not stored: ${messageOf(error)}. Make room, or submit the job again later`,
      { cause: error },
    );
  }

  #setDeadlines(submissions: readonly Submission[]): void {
    const { clockOffset } = this.#queues.engine;
    for (const { deadlineAt, data } of submissions)
      if (deadlineAt !== undefined) data.deadline = Math.ceil(deadlineAt + clockOffset);
  }

  #collectLater(milliseconds: number, submissions: Iterable<Submission>): void {
    getEventLoop().callLater(milliseconds, () => {
      for (const submission of submissions) if (this.#pending.holds(submission)) this.collect(submission);
    });
  }

  /** Adds submissions in parts. The next part is encoded while the engine works on the one before. */
  async #addInParts(lane: Lane, submissions: readonly Submission[]): Promise<void> {
    if (submissions.some(({ limits }) => limits !== undefined)) await this.#joinLines(lane, submissions);
    const adding: Promise<void>[] = [];
    const size = this.#queues.engine.isLocal ? submissions.length : MAX_PART;
    for (let from = 0; from < submissions.length; from += size) {
      adding.push(this.#addPart(lane, submissions.slice(from, from + size)));
      if (from + size < submissions.length) await nextTurn();
    }
    await Promise.all(adding);
  }

  async #addPart(lane: Lane, all: readonly Submission[]): Promise<void> {
    try {
      const arrived = await this.#alreadyArrived(lane, all);
      this.#confirm([...arrived], new Map());
      const part = all.filter((each) => !arrived.has(each));
      if (part.length === 0) return;
      const jobs = part.map(({ id, name, data, options }) => ({
        name,
        data,
        opts: { ...options, jobId: id },
      }));
      const added = await this.#kept.addAndNotify(lane, part, () => addJobs(this.#queues.lane(lane), jobs));
      this.#failures = 0;
      const elsewhere = new Map<Submission, string>();
      for (const [index, submission] of part.entries()) {
        const holder = added[index]?.id;
        if (holder === undefined || holder === submission.id) continue;
        const place = isKeepable(submission) ? ((await this.#placeOf(submission)) ?? holder) : holder;
        if (place !== submission.id) elsewhere.set(submission, place);
      }
      this.#confirm(part, elsewhere);
    } catch (error) {
      await this.#notAdded(lane, all, error);
    }
  }

  /** Enters the jobs of limited tasks in their lines, in the order of their submissions. Any other job costs nothing here. */
  async #joinLines(lane: Lane, submissions: readonly Submission[]): Promise<void> {
    const entries = submissions.flatMap(({ id, limits }) =>
      limits === undefined ? [] : [{ id: storedId(id), limits }],
    );
    const { engine } = this.#queues;
    const join = (): Promise<void> => engine.limits.join(this.#queues.nameOf(lane), entries);
    // The commands of two turns could arrive in any order.
    const joining = this.#joining.then(join, join);
    this.#joining = joining;
    await joining;
  }

  /**
   * Returns the submissions that are sent again although they arrived the first time. In general that does no harm,
   * since the engine stores each id once. On PostgreSQL, however, BullMQ keeps such a submission behind its own running
   * job, and would then hold the key for ever.
   */
  async #alreadyArrived(lane: Lane, submissions: readonly Submission[]): Promise<ReadonlySet<Submission>> {
    const repeated = submissions.filter((each) => each.mayHaveArrived && isKeepable(each));
    if (repeated.length === 0) return new Set();
    const stored = await this.#queues.lookup(
      lane,
      repeated.map(({ id }) => id),
    );
    return new Set(repeated.filter((_, at) => stored[at]?.kind !== "missing"));
  }

  /** A submission that was added cannot fail any more. If its place cannot be read, the next poll finds it. */
  async #placeOf(submission: Submission): Promise<string | undefined> {
    return await this.#kept.placeOf(submission).catch(() => submission.id);
  }

  /** Handles submissions that the engine has confirmed. `elsewhere` has the ids of jobs that existed before. */
  #confirm(submissions: readonly Submission[], elsewhere: ReadonlyMap<Submission, string>): void {
    this.#pending.confirm(submissions);
    for (const [submission, id] of elsewhere) this.#pending.rebind(submission, id);
    const existing = submissions.filter(
      (each) => (each.mayExist || elsewhere.has(each)) && this.#pending.holds(each),
    );
    // Confirmed jobs cannot fail any more, so an error of this check is ignored.
    if (existing.length > 0) void this.#watch.check(existing).catch(() => {});
  }

  /** Handles submissions after a failed command: sends them again, or fails those that the engine has not stored. */
  async #notAdded(lane: Lane, submissions: readonly Submission[], error: unknown): Promise<void> {
    const open = submissions.filter((each) => !each.isStored && this.#pending.holds(each));
    const reason = this.#queues.engine.transient(error);
    if (reason === "refused" || reason === "cut") {
      // The submissions may have arrived. That does no harm, since the engine stores each id once.
      for (const submission of open) submission.mayHaveArrived = true;
      this.#collectLater(pauseBeforeRepeat(++this.#failures), open);
      return;
    }
    // The engine can refuse a bulk of jobs in the middle, and a job that is sent again can have arrived the first time.
    const queue = this.#queues.lane(lane);
    const states = await Promise.allSettled(open.map(({ id }) => queue.getJobState(storedId(id))));
    const isStored = (_: unknown, at: number): boolean => {
      const state = states[at];
      return state?.status === "fulfilled" && state.value !== "unknown";
    };
    this.#confirm(open.filter(isStored), new Map());
    this.#pending.fail(
      open.filter((each, at) => !isStored(each, at)),
      this.#refusal(error),
    );
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
