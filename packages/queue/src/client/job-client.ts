import { TimeoutError } from "@taskloom/loop";
import type { CancelledError } from "@taskloom/loop";
import type { Engine } from "../contract/engine.ts";
import { QueueClosedError } from "../errors.ts";
import { settleWithin } from "../settle-within.ts";
import { JobCanceller } from "./job-canceller.ts";
import { jobState } from "../operate/job-states.ts";
import { wholeLog } from "../operate/read-logs.ts";
import { LaneQueues } from "../operate/lane-queues.ts";
import { KeptSubmissions, isKeepable } from "./kept-submissions.ts";
import { OutcomeWatch } from "./outcome-watch.ts";
import { PendingJobs } from "./pending-jobs.ts";
import type { RemoteTask, RemoteTaskControl, RemoteTaskState } from "./remote-task.ts";
import { SubmissionSender } from "./submission-sender.ts";
import type { Submission } from "./submission.ts";
import { UnservedWarning } from "./unserved-warning.ts";

/** How long closing waits for an engine that may not answer any more; milliseconds. */
const closePatience = 1_000;

/**
 * The waiting side of a queue: sends submissions, and brings each one's outcome to its RemoteTask.
 *
 * A submission is in {@link PendingJobs} from here to its end. {@link SubmissionSender} collects it until the end of the
 * turn and adds it with all others of that turn; {@link OutcomeWatch} learns how it ended, from a reply or from what is
 * stored; {@link JobCanceller} ends it before its time.
 */
export class JobClient implements RemoteTaskControl {
  readonly queues: LaneQueues;
  readonly #pending = new PendingJobs();
  readonly #sender: SubmissionSender;
  readonly #watch: OutcomeWatch;
  readonly #canceller: JobCanceller;
  readonly #unserved: UnservedWarning;
  #isNoted = false;
  #closed = false;

  constructor(engine: Engine, queueName: string) {
    this.queues = new LaneQueues(engine, queueName);
    this.#unserved = new UnservedWarning(engine, queueName);
    const kept = new KeptSubmissions(this.queues);
    this.#watch = new OutcomeWatch(this.queues, this.#pending, kept, (lost) => this.#sender.sendAgain(lost));
    this.#sender = new SubmissionSender(this.queues, this.#pending, kept, this.#watch);
    this.#canceller = new JobCanceller(this.queues, this.#pending, kept, (each) =>
      this.#sender.retract(each),
    );
  }

  /** Takes a submission; it is sent, with all others of this turn, when the turn ends. */
  submit(submission: Submission): void {
    if (this.#pending.join(submission)) return;
    this.#pending.add(submission);
    this.noteUse();
    this.#watchServed(submission);
    this.#sender.collect(submission);
  }

  /** Tells the engine once that this queue is used, so that operators find it in their lists. */
  noteUse(): void {
    if (this.#isNoted) return;
    this.#isNoted = true;
    const { engine, queueName } = this.queues;
    const note = async (): Promise<void> => {
      await engine.connect();
      await engine.recordQueue(queueName);
    };
    note().catch(() => (this.#isNoted = false));
  }

  #watchServed(submission: Submission): void {
    this.#unserved.watch(submission.name, () => this.#pending.current(submission) !== undefined);
  }

  /** Takes submissions that `add` sends in a way of its own, and sees to their ends. */
  async send(submissions: readonly Submission[], add: () => Promise<unknown>): Promise<void> {
    for (const submission of submissions) this.#pending.add(submission);
    await this.#sender.send(submissions, add);
  }

  /** The same for the jobs of a flow, its parent last; `add` adds all or none, and is called again if it was cut off. */
  async sendFlow(submissions: readonly Submission[], add: () => Promise<unknown>): Promise<void> {
    for (const submission of submissions) this.#pending.add(submission);
    this.noteUse();
    for (const submission of submissions) this.#watchServed(submission);
    await this.#sender.sendFlow(submissions, add);
  }

  /** Waits for a job that is there already. */
  attach(submission: Submission): void {
    if (this.#pending.join(submission)) return;
    submission.addedAt = performance.now();
    void this.send([submission], () => this.#watch.look([submission]));
  }

  /** Every task that waits here. */
  pendingTasks(): RemoteTask<unknown>[] {
    return this.#pending.tasks();
  }

  /** Whether a job is on its way or was sent, and has not ended. */
  knows(id: string): boolean {
    return this.#pending.get(id) !== undefined;
  }

  /** Ends when the engine has confirmed a job, with true; or when it has ended without that, with false. */
  async sent(id: string): Promise<boolean> {
    return await this.#pending.confirmed(id);
  }

  cancel(id: string, error: CancelledError): void {
    const submission = this.#pending.get(id);
    if (submission !== undefined) void this.#canceller.cancel(submission, error.message);
  }

  /** Ends a job that ran into its deadline: cancelled wherever it is, and a TimeoutError for who waits. */
  expire(id: string, deadline: number): void {
    const submission = this.#pending.get(id);
    if (submission === undefined) return;
    submission.expiry = new TimeoutError(`Job ${id} did not end within its deadline of ${deadline} ms.`);
    void this.#canceller.cancel(submission, "deadline");
  }

  async state(id: string): Promise<RemoteTaskState> {
    const submission = this.#pending.get(id);
    if (submission !== undefined && submission.addedAt === undefined) return "waiting";
    const state = await jobState(this.queues, id);
    // It is kept until the job of its key has ended, and has no record of its own.
    return state === "unknown" && submission !== undefined && isKeepable(submission) ? "waiting" : state;
  }

  async logs(id: string): Promise<string[]> {
    return await wholeLog(this.queues, id);
  }

  /** Stops waiting: what is pending fails here and goes on at the engine. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.close();
    for (const submission of this.#pending.all()) {
      const error = new QueueClosedError(
        `Queue ${this.queues.queueName} was closed while job ${submission.id} was pending; the job goes on, and attach("${submission.id}") finds it again.`,
      );
      this.#pending.end(submission, { error });
    }
    await settleWithin(closePatience, this.queues.close());
  }
}
