import type { ReplyMessage } from "../contract/replies.ts";
import type { StoredJob } from "../contract/stored-job.ts";
import { JobLostError, QueueClosedError } from "../errors.ts";
import { lanes } from "../contract/lane.ts";
import { keptForCertain } from "../contract/retention.ts";
import { outcomeOf } from "../wire/outcome.ts";
import { MAX_LOOKUP } from "../operate/lane-queues.ts";
import type { LaneQueues } from "../operate/lane-queues.ts";
import { isKeepable } from "./kept-submissions.ts";
import type { KeptSubmissions } from "./kept-submissions.ts";
import type { OutcomeMessage, PendingJobs } from "./pending-jobs.ts";
import type { Submission } from "./submission.ts";

/** How often the stored state of what is pending is looked at, in case a reply was lost; milliseconds. */
const lookInterval = 1_000;

/** Learns how pending jobs ended: from replies, which are quick, and from what is stored, which decides. */
export class OutcomeWatch {
  readonly #queues: LaneQueues;
  readonly #pending: PendingJobs;
  readonly #kept: KeptSubmissions;
  readonly #sendAgain: (submission: Submission) => void;
  #listening: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lookCursor: string | undefined;
  #stopListening: (() => void) | undefined;
  #closed = false;

  /** `sendAgain` sends a job whose record the engine has lost once more. */
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

  /** Begins to listen, once; no job is sent before that. */
  async listen(): Promise<void> {
    if (this.#closed) {
      throw new QueueClosedError(`Queue ${this.#queues.queueName} was closed before it could send this job.`);
    }
    this.#listening ??= this.#beginToListen().catch((error: unknown) => {
      this.#listening = undefined; // The next submission tries again.
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
      () => void this.look(this.#pending.all()).catch(() => {}),
    );
    this.#timer = setInterval(
      () => void this.look(this.#nextToLookAt()).catch(() => {}),
      lookInterval,
    ).unref();
  }

  #receive(message: ReplyMessage): void {
    // An id that nobody waits for is normal: replies can come twice, or after a look was quicker.
    const submission = this.#pending.get(message.id);
    if (submission === undefined) return;
    if ("became" in message) this.#pending.become(submission, message.became);
    else if (!("outcome" in message)) this.#pending.progress(submission, message.progress);
    else if (submission.mayExist) void this.#confirm(submission, message).catch(() => {});
    else this.#pending.settle(submission, message);
  }

  /**
   * Under an id that was chosen there can have been another job before, and this may be the late reply to that one.
   * What is stored decides; where nothing is stored any more, the reply is all that there is.
   */
  async #confirm(submission: Submission, message: OutcomeMessage): Promise<void> {
    if (submission.addedAt === undefined) return;
    const [stored] = await this.#queues.lookup(submission.lane, [submission.id]);
    if (stored?.kind === "missing") this.#pending.settle(submission, message);
    else if (stored !== undefined) this.#compare(submission, stored);
  }

  /** The next slice of what has been pending for a while, going round, so that a large backlog costs no more per look. */
  #nextToLookAt(): Submission[] {
    const before = performance.now() - lookInterval;
    // Where no reply can be lost, only a job whose place another one took ends without one.
    const { isLossless: lossless } = this.#queues.engine.replies;
    const old = this.#pending
      .all()
      .filter(
        (each) => each.addedAt !== undefined && each.addedAt < before && (!lossless || canGiveWay(each)),
      );
    if (old.length <= MAX_LOOKUP) return old;
    const from = old.findIndex(({ id }) => id === this.#lookCursor) + 1;
    const slice = [...old.slice(from), ...old.slice(0, from)].slice(0, MAX_LOOKUP);
    this.#lookCursor = slice.at(-1)?.id;
    return slice;
  }

  /** Looks at what is stored of submissions, and ends those that have ended. */
  async look(submissions: readonly Submission[]): Promise<void> {
    const sent = submissions.filter(({ addedAt }) => addedAt !== undefined);
    for (const lane of lanes) {
      const ofLane = sent.filter((submission) => submission.lane === lane);
      if (ofLane.length === 0) continue;
      const ids = ofLane.map(({ id }) => id);
      const stored = await this.#queues.lookup(lane, ids);
      for (const [index, job] of stored.entries()) this.#compare(ofLane[index]!, job);
    }
  }

  #compare(submission: Submission, stored: StoredJob): void {
    if (!this.#pending.holds(submission) || stored.kind === "pending") return;
    if (stored.kind === "finished")
      return this.#pending.settle(submission, { ...stored, outcome: outcomeOf(stored.record) });
    // A record that is missing within the time it would be kept was lost by the engine, with all that it had done: the
    // job is added again under its id. Later it may be one that ended and was removed, and must not run again.
    const age = performance.now() - (submission.addedAt ?? 0);
    const { deduplication, attempts } = submission.options;
    const isKept = age < keptForCertain(submission.data);
    if (isKept && isKeepable(submission)) {
      void this.#followKept(submission).catch(() => {});
    } else if (deduplication?.replace === true) {
      void this.#followReplacement(submission).catch(() => {});
    } else if (attempts !== undefined && isKept) {
      this.#sendAgain(submission);
    } else if (submission.missedAt === undefined || performance.now() - submission.missedAt < lookInterval) {
      // With a short retention a record can be removed while the reply to its end is on its way.
      submission.missedAt ??= performance.now();
    } else {
      this.#lose(
        submission,
        `is not known to ${this.#queues.engine.url}: it was removed, its result was kept for a shorter time than this, or the engine lost its data.`,
      );
    }
  }

  /** There is no record of a submission that can be kept: it is kept, or another one was kept in its place. */
  async #followKept(submission: Submission): Promise<void> {
    const place = await this.#kept.whereIs(submission);
    if (!this.#pending.holds(submission) || place === submission.id) return;
    if (place === undefined) this.#sendAgain(submission);
    else this.#pending.become(submission, place);
  }

  /** A delayed job gave way to a newer duplicate: who waited for it waits for that one. */
  async #followReplacement(submission: Submission): Promise<void> {
    const { lane, options } = submission;
    const holder = await this.#queues.lane(lane).getDeduplicationJobId(options.deduplication!.id);
    if (!this.#pending.holds(submission)) return;
    if (holder !== null && holder !== submission.id) return this.#pending.become(submission, holder);
    this.#lose(
      submission,
      "gave way to a newer one with the same key, which has ended since; submit it again if it is still wanted.",
    );
  }

  #lose(submission: Submission, why: string): void {
    this.#pending.end(submission, { error: new JobLostError(`Job ${submission.id} ${why}`) });
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#stopListening?.();
  }
}

/** Whether a later submission of the key can take the job's place. */
function canGiveWay(submission: Submission): boolean {
  return submission.options.deduplication?.replace === true || isKeepable(submission);
}
