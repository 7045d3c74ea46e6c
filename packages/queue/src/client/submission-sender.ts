import { getEventLoop } from "@taskloom/loop";
import type { LaneQueue, NewJob } from "../contract/lane-queue.ts";
import { pauseBeforeRepeat } from "../contract/transient.ts";
import { EngineFullError } from "../errors.ts";
import { lanes, storedId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import type { LaneQueues } from "../operate/lane-queues.ts";
import { askOtherLane } from "./other-lane.ts";
import { isKeepable } from "./kept-submissions.ts";
import type { KeptSubmissions } from "./kept-submissions.ts";
import type { PendingJobs } from "./pending-jobs.ts";
import { outcomesOf } from "./flow.ts";
import type { Submission } from "./submission.ts";

/** How many jobs are encoded and sent at once; a batch of more overlaps with the engine's work on the part before. */
const addAtOnce = 500;

/** How soon a job that somebody is adding to the other lane is looked for again; milliseconds. */
const onTheWayPause = 10;

/** How soon a submission is sent that has to run after a job in the other lane is looked at again; milliseconds. */
const behindPause = 500;

/** Who sees to the ends of what was sent. */
interface Watch {
  listen(): Promise<void>;
  look(submissions: readonly Submission[]): Promise<void>;
}

/** Collects the submissions of one turn, and adds them at its end in one round trip for each lane. */
export class SubmissionSender {
  readonly #queues: LaneQueues;
  readonly #pending: PendingJobs;
  readonly #kept: KeptSubmissions;
  readonly #watch: Watch;
  #collected: Submission[] = [];
  /** How many batches in a row the engine did not accept. */
  #failures = 0;
  /** Parents of flows that the engine has lost, until their children have ended. */
  readonly #held = new Set<Submission>();

  constructor(queues: LaneQueues, pending: PendingJobs, kept: KeptSubmissions, watch: Watch) {
    this.#queues = queues;
    this.#pending = pending;
    this.#kept = kept;
    this.#watch = watch;
  }

  collect(submission: Submission): void {
    if (this.#collected.length === 0) this.#queues.engine.defer(() => void this.#sendCollected());
    this.#collected.push(submission);
  }

  /** Takes one back that was not sent yet; false when it is on its way. */
  retract(submission: Submission): boolean {
    if (this.#held.delete(submission)) return true;
    const at = this.#collected.indexOf(submission);
    if (at >= 0) this.#collected.splice(at, 1);
    return at >= 0;
  }

  /**
   * Sends one that the engine has lost once more. With a flow's parent it has lost what it was to wait for: that goes
   * when its children have ended, with what they came to.
   */
  sendAgain(submission: Submission): void {
    submission.addedAt = undefined;
    submission.wasSent = true;
    const { children, data } = submission;
    if (children === undefined) return this.collect(submission);
    this.#held.add(submission);
    void outcomesOf(children).then((outcomes) => {
      if (!this.#held.delete(submission) || !this.#pending.holds(submission)) return;
      Object.assign(data.flow!, { outcomes });
      this.collect(submission);
    });
  }

  /** Sends what travels in a way of its own, such as a flow. */
  async send(submissions: readonly Submission[], add: () => Promise<unknown>): Promise<void> {
    await this.#connected(submissions, async () => {
      await add();
      this.#pending.confirm(submissions);
    });
  }

  /** Adds the jobs of a flow all in one step; the parent, which is the last of them, is there or none is. */
  async sendFlow(submissions: readonly Submission[], add: () => Promise<unknown>): Promise<void> {
    const parent = submissions.at(-1)!;
    await this.send(submissions, async () => {
      let mayBeThere = false;
      for (let times = 1; this.#pending.holds(parent); times++) {
        try {
          if (!mayBeThere || !(await this.#isStored(parent))) await add();
          return;
        } catch (error) {
          const reason = this.#repeatable(error);
          mayBeThere ||= reason === "cut";
          const pause = pauseBeforeRepeat(times);
          await new Promise<void>((resolve) => getEventLoop().callLater(pause, resolve));
        }
      }
    });
  }

  /** To add a child again that has failed already would have its parent wait for it for ever. */
  async #isStored({ lane, id }: Submission): Promise<boolean> {
    const [stored] = await this.#queues.lookup(lane, [id]);
    return stored?.kind !== "missing";
  }

  async #sendCollected(): Promise<void> {
    const batch = this.#collected;
    this.#collected = [];
    await this.#connected(batch, async () => {
      await Promise.all(lanes.map((lane) => this.#sendLane(lane, batch)));
    });
  }

  /** Sends the submissions of one lane. A refusal there says nothing about the other lane. */
  async #sendLane(lane: Lane, batch: readonly Submission[]): Promise<void> {
    const ofLane = batch.filter((submission) => submission.lane === lane);
    if (ofLane.length === 0) return;
    try {
      const { jobs: elsewhere, onTheWay, behind } = await askOtherLane(this.#queues, lane, ofLane);
      if (onTheWay.size > 0) getEventLoop().callLater(onTheWayPause, () => this.#collectAgain(onTheWay));
      if (behind.size > 0) getEventLoop().callLater(behindPause, () => this.#collectAgain(behind));
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
   * Returns why the engine failed a command that can be repeated; throws its error otherwise. A full engine is not asked
   * again: its submitters know best how long their work can wait.
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

  /** The error of a submission that is given up: an engine without room is named, whatever its own words are. */
  #refusal(error: unknown): unknown {
    const { engine } = this.#queues;
    if (engine.transient(error) !== "full" || error instanceof EngineFullError) return error;
    return new EngineFullError(
      `${engine.url} has no room left, so the job was not stored: ${(error as Error).message}. Make room, or submit again later.`,
      { cause: error },
    );
  }

  #setDeadlines(submissions: readonly Submission[]): void {
    const { clockOffset } = this.#queues.engine;
    for (const { end, data } of submissions)
      if (end !== undefined) data.deadline = Math.ceil(end + clockOffset);
  }

  #collectAgain(submissions: Iterable<Submission>): void {
    for (const submission of submissions) if (this.#pending.holds(submission)) this.collect(submission);
  }

  /** Adds in parts, each sent while the one before is on its way: the engine works while the next is encoded. */
  async #addInParts(lane: Lane, submissions: readonly Submission[]): Promise<void> {
    const adding: Promise<void>[] = [];
    const size = this.#queues.engine.isLocal ? submissions.length : addAtOnce;
    for (let from = 0; from < submissions.length; from += size) {
      adding.push(this.#addPart(lane, submissions.slice(from, from + size)));
      if (from + size < submissions.length) await nextTurn();
    }
    await Promise.all(adding);
  }

  async #addPart(lane: Lane, all: readonly Submission[]): Promise<void> {
    try {
      const here = await this.#alreadyThere(lane, all);
      this.#confirm([...here], new Map());
      const part = all.filter((each) => !here.has(each));
      if (part.length === 0) return;
      const jobs = part.map(({ id, name, data, options }) => ({
        name,
        data,
        opts: { ...options, jobId: id },
      }));
      const added = await this.#kept.addAndTell(lane, part, () => addAll(this.#queues.lane(lane), jobs));
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

  /**
   * Those that are sent once more and arrived the first time. Most do no harm, since the engine has each id once; but on
   * PostgreSQL BullMQ keeps a submission behind its own job that runs, and the key is held for ever then.
   */
  async #alreadyThere(lane: Lane, submissions: readonly Submission[]): Promise<ReadonlySet<Submission>> {
    const repeated = submissions.filter((each) => each.wasSent === true && isKeepable(each));
    if (repeated.length === 0) return new Set();
    const stored = await this.#queues.lookup(
      lane,
      repeated.map(({ id }) => id),
    );
    return new Set(repeated.filter((_, at) => stored[at]?.kind !== "missing"));
  }

  /** A submission that was added cannot fail any more: if its place is not known, the look at pending jobs finds it. */
  async #placeOf(submission: Submission): Promise<string | undefined> {
    return await this.#kept.whereIs(submission).catch(() => submission.id);
  }

  /** The engine has confirmed submissions; some of them turned out to be jobs that were there before. */
  #confirm(submissions: readonly Submission[], elsewhere: ReadonlyMap<Submission, string>): void {
    this.#pending.confirm(submissions);
    for (const [submission, id] of elsewhere) this.#pending.become(submission, id);
    const existing = submissions.filter(
      (each) => (each.mayExist || elsewhere.has(each)) && this.#pending.holds(each),
    );
    // Confirmed jobs cannot fail any more: an error of this look is no news about them.
    if (existing.length > 0) void this.#watch.look(existing).catch(() => {});
  }

  /** Sees to submissions whose adding failed: they are sent again, or fail, unless the engine has them all the same. */
  async #notAdded(lane: Lane, submissions: readonly Submission[], error: unknown): Promise<void> {
    const open = submissions.filter((each) => each.addedAt === undefined && this.#pending.holds(each));
    const reason = this.#queues.engine.transient(error);
    if (reason === "refused" || reason === "cut") {
      // Whether they arrived is not known, and need not be: under its own id each is there once.
      for (const submission of open) submission.wasSent = true;
      getEventLoop().callLater(pauseBeforeRepeat(++this.#failures), () => this.#collectAgain(open));
      return;
    }
    // A bulk of jobs can be refused in the middle, and one that is sent again can be there from the first time.
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

/** One job by itself goes as one command: around many, BullMQ puts a transaction, which takes longer to make than to run. */
async function addAll(
  lane: LaneQueue,
  jobs: NewJob[],
): Promise<readonly { readonly id?: string | undefined }[]> {
  const [only, ...others] = jobs;
  return only === undefined || others.length > 0
    ? await lane.addBulk(jobs)
    : [await lane.add(only.name, only.data, only.opts)];
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
