import type { ReplyMessage } from "../contract/replies.ts";
import type { StoredJob } from "../contract/stored-job.ts";
import { JobLostError, QueueClosedError } from "../errors.ts";
import type { Lane } from "../contract/lane.ts";
import { keptForCertain } from "../contract/retention.ts";
import { outcomeOf } from "../wire/outcome.ts";
import { MAX_LOOKUP } from "../operate/lane-queues.ts";
import type { LaneQueues } from "../operate/lane-queues.ts";
import { isKeepable } from "./kept-submissions.ts";
import type { KeptSubmissions } from "./kept-submissions.ts";
import type { OutcomeMessage, PendingJobs } from "./pending-jobs.ts";
import type { Submission, SubmissionState } from "./submission.ts";

/** The stored state of pending jobs is polled at this interval, in case a reply was lost. */
const POLL_INTERVAL_MS = 1_000;
/**
 * A record has to be missing for so long before its job is sent again. An operator who removes a waiting job cancels it first,
 * and the reply of that is on its way.
 */
const MISSING_MS = 500;

/** Receives the outcomes of pending jobs: from replies, which are quick, and from the stored state, which decides. */
export class OutcomeWatch {
  readonly #queues: LaneQueues;
  readonly #pending: PendingJobs;
  readonly #kept: KeptSubmissions;
  readonly #sendAgain: (submission: Submission) => void;
  #listening: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pollCursor: string | undefined;
  #stopListening: (() => void) | undefined;
  #isClosed = false;
  /** The replies for chosen ids that were not checked yet. */
  #unchecked = new Map<Submission, OutcomeMessage>();

  /** @param sendAgain sends a job again whose record the engine has lost. */
  constructor(
    queues: LaneQueues,
    pending: PendingJobs,
    kept: KeptSubmissions,
    sendAgain: (submission: Submission) => void,
  ) {
    this.#queues = queues;
    this.#pending = pending;
    this.#kept = kept;
    this.#sendAgain = sendAgain;
  }

  /**
   * Begins to listen for replies, once. Resolves when replies arrive; no job is sent before that.
   *
   * @throws {@link QueueClosedError} if the queue is closed.
   */
  async listen(): Promise<void> {
    if (this.#isClosed) {
      throw new QueueClosedError(
        `Queue ${this.#queues.queueName} was closed before it could send this job; submit it to a new TaskQueue`,
      );
    }
    this.#listening ??= this.#beginToListen().catch((error: unknown) => {
      this.#listening = undefined; // The next submission begins to listen again.
      this.#stopListening?.();
      throw error;
    });
    await this.#listening;
  }

  async #beginToListen(): Promise<void> {
    this.#stopListening = this.#queues.engine.onBroken?.((error) => {
      for (const submission of this.#pending.all()) this.#pending.end(submission, { error });
    });
    await this.#queues.engine.replies.listen(
      (message) => this.#receive(message),
      () => void this.check(this.#pending.all()).catch(() => {}),
    );
    this.#timer = setInterval(
      () => void this.check(this.#nextToPoll()).catch(() => {}),
      POLL_INTERVAL_MS,
    ).unref();
  }

  #receive(message: ReplyMessage): void {
    // Replies for other ids are normal: a reply can arrive twice, or after a poll has settled the job.
    const submission = this.#pending.get(message.id);
    if (submission === undefined) return;
    if ("became" in message) this.#pending.rebind(submission, message.became);
    else if (!("outcome" in message)) this.#pending.progress(submission, message.progress);
    else if (submission.mayExist) this.#checkSoon(submission, message);
    else this.#pending.settle(submission, message);
  }

  /**
   * Checks the reply for a chosen id, since it can be the late reply of an earlier job of the id. The stored state
   * decides. If nothing is stored any more, the reply counts. Replies that arrive together are checked together.
   */
  #checkSoon(submission: Submission, message: OutcomeMessage): void {
    if (!submission.isStored) return;
    if (this.#unchecked.size === 0) queueMicrotask(() => this.#checkReplies());
    this.#unchecked.set(submission, message);
  }

  #checkReplies(): void {
    const replies = [...this.#unchecked];
    this.#unchecked = new Map();
    for (const { lane, items } of this.#queues.groups(replies, ([submission]) => submission))
      void this.#checkRepliesOf(lane, items).catch(() => {});
  }

  async #checkRepliesOf(
    lane: Lane,
    replies: readonly (readonly [Submission, OutcomeMessage])[],
  ): Promise<void> {
    const ids = replies.map(([{ id }]) => id);
    for (const [at, stored] of (await this.#queues.lookup(lane, ids)).entries()) {
      const [submission, message] = replies[at]!;
      if (stored.kind === "missing") this.#pending.settle(submission, message);
      else this.#apply(submission, stored);
    }
  }

  /** Returns the next slice of the jobs that have been pending for a while, so that a large backlog costs no more a poll. */
  #nextToPoll(): Submission[] {
    const before = performance.now() - POLL_INTERVAL_MS;
    // If no reply can be lost, the only jobs that end without one are those that another job has replaced.
    const { isLossless } = this.#queues.engine.replies;
    const old = this.#pending
      .all()
      .filter(
        (each) =>
          each.state.kind === "stored" && each.state.since < before && (!isLossless || isReplaceable(each)),
      );
    if (old.length <= MAX_LOOKUP) return old;
    const from = old.findIndex(({ id }) => id === this.#pollCursor) + 1;
    const slice = [...old.slice(from), ...old.slice(0, from)].slice(0, MAX_LOOKUP);
    this.#pollCursor = slice.at(-1)?.id;
    return slice;
  }

  /** Reads the stored state of submissions, and settles those that have ended. */
  async check(submissions: readonly Submission[]): Promise<void> {
    const sent = submissions.filter(({ isStored }) => isStored);
    const groups = this.#queues.groups(sent, (submission) => submission);
    await Promise.all(groups.map(({ lane, items }) => this.#checkGroup(lane, items)));
  }

  async #checkGroup(lane: Lane, group: readonly Submission[]): Promise<void> {
    const ids = group.map(({ id }) => id);
    const stored = await this.#queues.lookup(lane, ids);
    for (const [index, job] of stored.entries()) this.#apply(group[index]!, job);
  }

  #apply(submission: Submission, stored: StoredJob): void {
    if (!this.#pending.holds(submission) || stored.kind === "pending") return;
    if (stored.kind === "finished")
      return this.#pending.settle(submission, { ...stored, outcome: outcomeOf(stored.record) });
    const { state } = submission;
    if (state.kind === "stored") this.#followMissing(submission, state);
  }

  /**
   * Handles a confirmed job without a record. If the record is missing within its retention, the engine has lost it, and
   * the job is sent again under its id. Later the job may have ended and been removed, and must not run again.
   */
  #followMissing(
    submission: Submission,
    { since, missedAt, kind }: Extract<SubmissionState, { readonly kind: "stored" }>,
  ): void {
    const now = performance.now();
    const { deduplication, attempts } = submission.options;
    const isKept = now - since < keptForCertain(submission.data);
    const isGone = missedAt !== undefined && now - missedAt >= MISSING_MS;
    const { engine } = this.#queues;
    const { isLossless } = engine.replies;
    if (missedAt === undefined) {
      // The reply of the end may be on its way.
      submission.change({ kind, since, missedAt: now });
      // Nothing is polled where no reply can be lost: a reply would arrive within this turn.
      if (isLossless) engine.defer(() => void this.check([submission]).catch(() => {}));
    }
    if (isKept && isKeepable(submission)) {
      void this.#followKept(submission, isGone).catch(() => {});
    } else if (deduplication?.replace === true) {
      void this.#followReplacement(submission).catch(() => {});
    } else if (attempts !== undefined && isKept) {
      if (isGone) this.#sendAgain(submission);
    } else if (missedAt !== undefined && (isLossless || now - missedAt >= POLL_INTERVAL_MS)) {
      this.#lose(
        submission,
        `is not known to ${engine.url}: it was removed, its retention has passed, or the engine has lost its data; submit it again if it is still needed`,
      );
    }
  }

  /** Handles a submission without a record that the engine can keep: it is kept, or a later one was kept instead. */
  async #followKept(submission: Submission, isGone: boolean): Promise<void> {
    const place = await this.#kept.placeOf(submission);
    if (!this.#pending.holds(submission) || place === submission.id) return;
    if (place === undefined) {
      if (isGone) this.#sendAgain(submission);
    } else this.#pending.rebind(submission, place);
  }

  /** Has the waiters of a delayed job that a duplicate has replaced wait for the duplicate. */
  async #followReplacement(submission: Submission): Promise<void> {
    const { lane, options } = submission;
    const holder = await this.#queues.lane(lane).getDeduplicationJobId(options.deduplication!.id);
    if (!this.#pending.holds(submission)) return;
    if (holder !== null && holder !== submission.id) return this.#pending.rebind(submission, holder);
    this.#lose(
      submission,
      "was replaced by a newer job with the same key, which has ended since; submit it again if it is still needed",
    );
  }

  #lose(submission: Submission, reason: string): void {
    this.#pending.end(submission, { error: new JobLostError(`Job ${submission.id} ${reason}`) });
  }

  /** Stops listening and polling. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#stopListening?.();
  }
}

/** Whether a later submission of the key can replace the job. */
function isReplaceable(submission: Submission): boolean {
  return submission.options.deduplication?.replace === true || isKeepable(submission);
}
