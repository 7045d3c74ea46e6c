import { CancelledError, TimeoutError } from "@taskloom/loop";
import type { Engine, ReplyMessage, StoredJob } from "../engines/engine.ts";
import type { LaneQueue } from "../engines/lane-queue.ts";
import { JobLostError, QueueClosedError } from "../errors.ts";
import { type Lane, jobId, laneOfJobId, laneQueueName, lanes, storedId } from "../lane.ts";
import {
  type Outcome,
  cancelledEnvelope,
  isCancelledEnvelope,
  openOutcome,
  outcomeOf,
} from "../wire/outcome.ts";
import { decodeValue } from "../wire/decode.ts";
import { waitAtMost } from "../patience.ts";
import type { RemoteTask, RemoteTaskControl, RemoteTaskState } from "./remote-task.ts";
import { type Submission, ageOf } from "./submission.ts";

type OutcomeMessage = Extract<ReplyMessage, { readonly outcome: Outcome }>;

/** How often the stored state of what is pending is looked at, in case a reply was lost; milliseconds. */
const lookInterval = 1_000;
/** How many jobs one such look takes in at most; the others have their turn at the next. */
const lookAtMost = 2_000;
/** How many jobs are encoded and sent at once; a batch of more overlaps with the engine's work on the part before. */
const addAtOnce = 500;
/** The pauses between a canceller's tries: most cancels need one, a retry just going into back-off needs two. */
const cancelPauses = [100, 200, 400, 1_000];

/** How long closing waits for an engine that may not answer any more; milliseconds. */
const closePatience = 1_000;

/** A job's state as one look at many shows it: `pending` is every state before the end. */
export type JobSummary = "missing" | "pending" | Outcome["state"];

/**
 * The waiting side of a queue: sends submissions, and brings each one's outcome to its RemoteTask.
 *
 * A submission is `collected` until the end of the turn, then `sent` with all others of that turn in one round trip
 * per lane, and `pending` until its outcome is known. Replies make that quick; what the engine has stored decides.
 */
export class JobClient implements RemoteTaskControl {
  readonly #engine: Engine;
  readonly #queueName: string;
  readonly #queues = new Map<Lane, LaneQueue>();
  readonly #pending = new Map<string, Submission>();
  #collected: Submission[] = [];
  #timer: NodeJS.Timeout | undefined;
  #lookCursor: string | undefined;
  #listening: Promise<void> | undefined;
  #closed = false;

  constructor(engine: Engine, queueName: string) {
    this.#engine = engine;
    this.#queueName = queueName;
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Every task that waits here. */
  pendingTasks(): RemoteTask<unknown>[] {
    return [...this.#pending.values()].flatMap(({ tasks }) => tasks);
  }

  /** The queue behind one lane. */
  lane(lane: Lane): LaneQueue {
    let queue = this.#queues.get(lane);
    if (queue === undefined) {
      queue = this.#engine.openLane(laneQueueName(this.#queueName, lane));
      this.#queues.set(lane, queue);
    }
    return queue;
  }

  /** Takes submissions that are sent already, such as those of a flow, and sees to their ends. */
  async send(submissions: readonly Submission[], add: () => Promise<unknown>): Promise<void> {
    for (const submission of submissions) this.#pending.set(submission.id, submission);
    try {
      await this.#engine.connect();
      await this.#listen();
      await add();
      const now = performance.now();
      for (const submission of submissions) {
        submission.addedAt = now;
        tellSent(submission);
      }
    } catch (error) {
      for (const { id } of submissions) this.#end(id, { error });
    }
  }

  /** Takes a submission; it is sent, with all others of this turn, when the turn ends. */
  submit(submission: Submission): void {
    if (this.#joinPending(submission)) return;
    if (this.#collected.length === 0) this.#engine.defer(() => void this.#send());
    this.#collected.push(submission);
    this.#pending.set(submission.id, submission);
  }

  /** Waits for a job that is there already. */
  attach(submission: Submission): void {
    if (this.#joinPending(submission)) return;
    submission.addedAt = performance.now();
    this.#pending.set(submission.id, submission);
    void this.#listenAndLook([submission]);
  }

  #joinPending(submission: Submission): boolean {
    const pending = this.#pending.get(submission.id);
    if (pending === undefined || pending === submission) return false;
    pending.tasks.push(...submission.tasks);
    return true;
  }

  async #listenAndLook(submissions: Submission[]): Promise<void> {
    try {
      await this.#engine.connect();
      await this.#listen();
      await this.#look(submissions);
    } catch (error) {
      for (const { id } of submissions) this.#end(id, { error });
    }
  }

  async #send(): Promise<void> {
    const batch = this.#collected;
    this.#collected = [];
    try {
      await this.#engine.connect();
      await this.#listen();
      await Promise.all([this.#sendLane("loop", batch), this.#sendLane("thread", batch)]);
    } catch (error) {
      for (const { id } of batch) this.#end(id, { error });
    }
  }

  async #sendLane(lane: Lane, batch: readonly Submission[]): Promise<void> {
    const submissions = batch.filter((submission) => submission.lane === lane);
    if (submissions.length === 0) return;
    const elsewhere = await this.#inOtherLane(lane, submissions);
    const here = elsewhere.size === 0 ? submissions : submissions.filter((each) => !elsewhere.has(each));
    // In parts, each sent while the one before is on its way: the engine works while the next is encoded.
    const adding: Promise<readonly { readonly id?: string | undefined }[]>[] = [];
    const part = this.#engine.isLocal ? here.length : addAtOnce;
    for (let from = 0; from < here.length; from += part) {
      adding.push(
        this.lane(lane).addBulk(
          here.slice(from, from + part).map(({ id, name, data, options }) => ({
            name,
            data,
            opts: { ...options, jobId: id },
          })),
        ),
      );
      if (from + part < here.length) await nextTurn();
    }
    const added = (await Promise.all(adding)).flat();
    for (const [index, submission] of here.entries()) {
      const holder = added[index]?.id;
      if (holder !== undefined && holder !== submission.id) elsewhere.set(submission, holder);
    }
    const now = performance.now();
    for (const submission of submissions) {
      submission.addedAt = now;
      tellSent(submission);
    }
    for (const [submission, id] of elsewhere) this.#become(submission, id);
    const existing = submissions.filter(
      (each) => (each.mayExist || elsewhere.has(each)) && this.#pending.get(each.id) === each,
    );
    if (existing.length > 0) await this.#look(existing);
  }

  /** Submissions whose job is in the other lane, since their task ran there before, and under which id. */
  async #inOtherLane(lane: Lane, submissions: readonly Submission[]): Promise<Map<Submission, string>> {
    const found = new Map<Submission, string>();
    const other: Lane = lane === "loop" ? "thread" : "loop";
    const chosen = submissions.filter(({ mayExist }) => mayExist);
    if (chosen.length > 0) {
      const ids = chosen.map(({ id }) => jobId(other, id.slice(lane.length + 1)));
      for (const [index, job] of (await this.look(other, ids)).entries())
        if (job.kind !== "missing") found.set(chosen[index] as Submission, ids[index] as string);
    }
    const keyed = submissions.filter(({ options }) => options.deduplication !== undefined);
    await Promise.all(
      keyed.map(async (submission) => {
        const key = submission.options.deduplication?.id as string;
        const holder = await this.lane(other).getDeduplicationJobId(key);
        if (holder !== null) found.set(submission, holder);
      }),
    );
    return found;
  }

  /** A submission turned out to be a job that is there already: who waits for it waits for that one. */
  #become(submission: Submission, id: string): void {
    if (this.#pending.get(submission.id) === submission) this.#pending.delete(submission.id);
    for (const task of submission.tasks) task.become(id);
    const pending = this.#pending.get(id);
    submission.id = id;
    submission.lane = laneOfJobId(id) ?? submission.lane;
    if (pending === undefined) this.#pending.set(id, submission);
    else pending.tasks.push(...submission.tasks);
  }

  /** Looks at stored jobs by the ids that users know. */
  async look(lane: Lane, ids: readonly string[]): Promise<StoredJob[]> {
    return await this.#engine.look(laneQueueName(this.#queueName, lane), ids.map(storedId));
  }

  async #listen(): Promise<void> {
    if (this.#closed)
      throw new QueueClosedError(`Queue ${this.#queueName} was closed before it could send this job.`);
    this.#listening ??= this.#beginToListen();
    await this.#listening;
  }

  async #beginToListen(): Promise<void> {
    await this.#engine.replies.listen(
      (message) => this.#receive(message),
      () => void this.#look([...this.#pending.values()]).catch(() => {}),
    );
    this.#timer = setInterval(
      () => void this.#look(this.#nextToLookAt()).catch(() => {}),
      lookInterval,
    ).unref();
  }

  #receive(message: ReplyMessage): void {
    // An id that nobody waits for is normal: replies can come twice, or after a look was quicker.
    const submission = this.#pending.get(message.id);
    if (submission === undefined) return;
    if ("progress" in message)
      for (const task of submission.tasks) task.reportProgress(decodeValue(message.progress));
    else if (submission.mayExist) void this.#confirm(submission, message).catch(() => {});
    else this.#settleBy(submission, message);
  }

  #settleBy(submission: Submission, { attempts, outcome }: OutcomeMessage): void {
    if (this.#pending.get(submission.id) !== submission) return;
    for (const task of submission.tasks) task.attempts = attempts;
    this.#settle(submission.id, outcome);
  }

  /**
   * Under an id that was chosen there can have been another job before, and this may be the late reply to that one.
   * What is stored decides; where nothing is stored any more, the reply is all that there is.
   */
  async #confirm(submission: Submission, message: OutcomeMessage): Promise<void> {
    if (submission.addedAt === undefined) return;
    const [stored] = await this.look(submission.lane, [submission.id]);
    if (stored?.kind === "missing") this.#settleBy(submission, message);
    else if (stored !== undefined) this.#compare(submission, stored);
  }

  /** The next slice of what has been pending for a while, going round, so that a large backlog costs no more per look. */
  #nextToLookAt(): Submission[] {
    const before = performance.now() - lookInterval;
    // Where no reply can be lost, only a job that was replaced by another ends without one.
    const { lossless } = this.#engine.replies;
    const old = [...this.#pending.values()].filter(
      ({ addedAt, options }) =>
        addedAt !== undefined && addedAt < before && (!lossless || options.deduplication?.replace === true),
    );
    if (old.length <= lookAtMost) return old;
    const from = old.findIndex(({ id }) => id === this.#lookCursor) + 1;
    const slice = [...old.slice(from), ...old.slice(0, from)].slice(0, lookAtMost);
    this.#lookCursor = slice.at(-1)?.id;
    return slice;
  }

  async #look(submissions: readonly Submission[]): Promise<void> {
    const sent = submissions.filter(({ addedAt }) => addedAt !== undefined);
    for (const lane of ["loop", "thread"] as const) {
      const ofLane = sent.filter((submission) => submission.lane === lane);
      if (ofLane.length === 0) continue;
      const stored = await this.look(
        lane,
        ofLane.map(({ id }) => id),
      );
      for (const [index, job] of stored.entries()) this.#compare(ofLane[index] as Submission, job);
    }
  }

  #compare(submission: Submission, stored: StoredJob): void {
    if (this.#pending.get(submission.id) !== submission || stored.kind === "pending") return;
    if (stored.kind === "finished") {
      for (const task of submission.tasks) task.attempts = stored.attempts;
      return this.#settle(submission.id, outcomeOf(stored.record));
    }
    // A record that is missing within the time it would be kept was lost by the engine, with all that it had done: the
    // job is added again under its id. Later it may be one that ended and was removed, and must not run again.
    const age = performance.now() - (submission.addedAt ?? 0);
    if (submission.options.deduplication?.replace === true) {
      void this.#followReplacement(submission).catch(() => {});
    } else if (
      submission.options.attempts !== undefined &&
      age < ageOf(submission.options.removeOnComplete)
    ) {
      submission.addedAt = undefined;
      this.submit(submission); // It is pending still, and only travels again.
    } else {
      this.#end(submission.id, {
        error: new JobLostError(
          `Job ${submission.id} is not known to ${this.#engine.url}: it was removed, its result was kept for a shorter time than this, or the engine lost its data.`,
        ),
      });
    }
  }

  /** A delayed job gave way to a newer duplicate: who waited for it waits for that one. */
  async #followReplacement(submission: Submission): Promise<void> {
    const { lane, options } = submission;
    const holder = await this.lane(lane).getDeduplicationJobId(options.deduplication?.id as string);
    if (this.#pending.get(submission.id) !== submission) return;
    if (holder !== null && holder !== submission.id) return this.#become(submission, holder);
    this.#end(submission.id, {
      error: new JobLostError(
        `Job ${submission.id} gave way to a newer one with the same key, which has ended since; submit it again if it is still wanted.`,
      ),
    });
  }

  #settle(id: string, outcome: Outcome): void {
    const expiry = outcome.state === "cancelled" ? this.#pending.get(id)?.expiry : undefined;
    this.#end(id, expiry === undefined ? openOutcome(outcome) : { error: expiry });
  }

  #end(id: string, result: { readonly value: unknown } | { readonly error: unknown }): void {
    const submission = this.#pending.get(id);
    if (submission === undefined) return;
    this.#pending.delete(id);
    tellSent(submission);
    for (const task of submission.tasks) {
      if ("error" in result) task.fail(result.error);
      else task.succeed(result.value);
    }
  }

  /** Whether a job is on its way or was sent, and has not ended. */
  knows(id: string): boolean {
    return this.#pending.has(id);
  }

  /** Ends when the engine has confirmed a job, with true; or when it has ended without that, with false. */
  async sent(id: string): Promise<boolean> {
    const submission = this.#pending.get(id);
    if (submission === undefined) return false;
    if (submission.addedAt !== undefined) return true;
    return await new Promise((resolve) => (submission.onSent ??= []).push(resolve));
  }

  /** Ends a job that ran into its deadline: cancelled wherever it is, and a TimeoutError for who waits. */
  expire(id: string, deadline: number): void {
    const submission = this.#pending.get(id);
    if (submission === undefined) return;
    submission.expiry = new TimeoutError(`Job ${id} did not end within its deadline of ${deadline} ms.`);
    void this.#cancel(id, "deadline");
  }

  cancel(id: string, error: CancelledError): void {
    void this.#cancel(id, error.message);
  }

  /** The canceller's side of the protocol described in `engines/redis/cancel-script.ts`. */
  async #cancel(id: string, reason: string): Promise<void> {
    const submission = this.#pending.get(id);
    if (submission === undefined) return;
    // Once this one has ended, another may be pending under an id that was chosen; that one is not meant.
    for (let attempt = 0; this.#pending.get(id) === submission; attempt++) {
      const cancelled =
        submission.expiry ?? (reason === "" ? new CancelledError() : new CancelledError(reason));
      if (submission.addedAt === undefined && this.#collected.includes(submission)) {
        this.#collected.splice(this.#collected.indexOf(submission), 1);
        return this.#end(id, { error: cancelled });
      }
      if (submission.addedAt !== undefined) {
        try {
          if (await this.cancelStored(submission.lane, id, reason))
            await this.#lookAfterCancel(submission, cancelled);
        } catch {
          // The engine does not answer; it is asked again until it does, as everything that is pending is.
        }
      }
      if (this.#pending.get(id) !== submission) return;
      const pause = cancelPauses[Math.min(attempt, cancelPauses.length - 1)] as number;
      await new Promise((resolve) => setTimeout(resolve, submission.addedAt === undefined ? 5 : pause));
    }
  }

  /** One try to cancel a stored job; true when its end is stored, or there is no record of it. */
  async cancelStored(lane: Lane, id: string, reason: string): Promise<boolean> {
    const queueName = laneQueueName(this.#queueName, lane);
    const answer = await this.#engine.cancel(queueName, storedId(id), reason);
    if (answer.kind !== "claimed") return answer.kind === "gone" || answer.kind === "done";
    const job = await this.lane(lane).getJob(storedId(id));
    if (job === undefined) return true;
    const message = reason === "" ? undefined : reason;
    await job.moveToCompleted(cancelledEnvelope(message), answer.token, false);
    this.#engine.noteCancelled(queueName, storedId(id), ageOf(job.opts.removeOnComplete));
    // The one who waits may be another than the one who cancels.
    const { reply } = job.data;
    const outcome: Outcome = message === undefined ? { state: "cancelled" } : { state: "cancelled", message };
    if (reply !== undefined) this.#engine.replies.send(reply, { id, outcome, attempts: job.attemptsMade });
    return true;
  }

  async #lookAfterCancel(submission: Submission, cancelled: Error): Promise<void> {
    const [stored] = await this.look(submission.lane, [submission.id]);
    if (stored === undefined || stored.kind === "pending") return;
    if (this.#pending.get(submission.id) !== submission) return;
    if (stored.kind === "missing") return this.#end(submission.id, { error: cancelled });
    this.#settle(submission.id, outcomeOf(stored.record));
  }

  async state(id: string): Promise<RemoteTaskState> {
    const submission = this.#pending.get(id);
    if (submission !== undefined && submission.addedAt === undefined) return "waiting";
    await this.#engine.connect();
    const queue = this.lane(laneOfJobId(id) ?? "loop");
    const state = await queue.getJobState(storedId(id));
    if (state !== "completed") return state;
    return isCancelledEnvelope((await queue.getJob(storedId(id)))?.returnvalue) ? "cancelled" : state;
  }

  /** Where each of many jobs is; a look that costs far less than asking for each one's exact state. */
  async states(ids: readonly string[]): Promise<Map<string, JobSummary>> {
    const states = new Map<string, JobSummary>();
    for (const lane of lanes) {
      const ofLane = ids.filter((id) => laneOfJobId(id) === lane);
      for (let from = 0; from < ofLane.length; from += lookAtMost) {
        const slice = ofLane.slice(from, from + lookAtMost);
        const stored = await this.look(lane, slice);
        for (const [index, job] of stored.entries()) {
          states.set(
            slice[index] as string,
            job.kind === "finished" ? outcomeOf(job.record).state : job.kind,
          );
        }
      }
    }
    return states;
  }

  async logs(id: string): Promise<string[]> {
    await this.#engine.connect();
    return (await this.lane(laneOfJobId(id) ?? "loop").getJobLogs(storedId(id))).logs;
  }

  /** Stops waiting: what is pending fails here and goes on at the engine. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    for (const id of this.#pending.keys()) {
      this.#end(id, {
        error: new QueueClosedError(
          `Queue ${this.#queueName} was closed while job ${id} was pending; the job goes on, and attach("${id}") finds it again.`,
        ),
      });
    }
    await waitAtMost(
      closePatience,
      Promise.allSettled([...this.#queues.values()].map((queue) => queue.close())),
    );
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function tellSent(submission: Submission): void {
  for (const tell of submission.onSent ?? []) tell(submission.addedAt !== undefined);
  delete submission.onSent;
}
