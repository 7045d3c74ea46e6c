import { TimeoutError, getEventLoop } from "@taskloom/loop";
import type { CancelledError } from "@taskloom/loop";
import { Lifecycle } from "@taskloom/loop/lifecycle";
import type { Engine } from "../contract/engine.ts";
import { QueueClosedError } from "../errors.ts";
import { settleWithin } from "@taskloom/loop/timer";
import { JobCanceller } from "./job-canceller.ts";
import { jobState } from "../operate/job-states.ts";
import { wholeLog } from "../operate/read-logs.ts";
import { LaneQueues } from "../operate/lane-queues.ts";
import { KeptSubmissions, isKeepable } from "./kept-submissions.ts";
import { OutcomeWatch } from "./outcome-watch.ts";
import { PendingJobs } from "./pending-jobs.ts";
import type { RemoteTask, RemoteTaskControl, RemoteTaskState } from "./remote-task.ts";
import { SubmissionSender } from "./submission-sender.ts";
import { SENDING, storedNow } from "./submission.ts";
import type { Submission } from "./submission.ts";
import { UnservedWarning } from "./unserved-warning.ts";

/** A queue that closes waits at most this long for an engine that does not answer any more. */
const CLOSE_PATIENCE_MS = 1_000;
/** A queue that closes waits at most this long for an engine that answers, until its submissions are stored. */
const STORE_PATIENCE_MS = 10_000;
/** The interval at which a queue that closes looks whether its engine answers. */
const LOOK_INTERVAL_MS = 50;

/**
 * The submitter of a queue: sends submissions, and settles their RemoteTasks.
 *
 * {@link PendingJobs} holds a submission from here to its end. {@link SubmissionSender} collects the submissions of a
 * turn and adds them at its end. {@link OutcomeWatch} receives the outcome from a reply or from the stored state.
 * {@link JobCanceller} cancels the job.
 */
export class JobClient implements RemoteTaskControl {
  readonly queues: LaneQueues;
  readonly #pending = new PendingJobs();
  readonly #sender: SubmissionSender;
  readonly #watch: OutcomeWatch;
  readonly #canceller: JobCanceller;
  readonly #unserved: UnservedWarning;
  #isRecorded = false;
  readonly #life = new Lifecycle(() => new QueueClosedError(`Queue ${this.queues.queueName} is closed`));

  constructor(engine: Engine, queueName: string) {
    this.queues = new LaneQueues(engine, queueName);
    this.#unserved = new UnservedWarning(engine, queueName);
    const kept = new KeptSubmissions(this.queues);
    this.#watch = new OutcomeWatch(this.queues, this.#pending, kept, (lost) => this.#sender.sendAgain(lost));
    this.#sender = new SubmissionSender(this.queues, this.#pending, kept, this.#watch);
    this.#canceller = new JobCanceller(this.queues, this.#pending, kept);
  }

  /** Takes a submission, which is sent at the end of this turn with all others of the turn. */
  submit(submission: Submission): void {
    if (!this.#life.isOpen) {
      // An asynchronous schema has checked the arguments while the queue was closed.
      const closed = new QueueClosedError(
        `Queue ${this.queues.queueName} was closed before job ${submission.id} was sent; submit it to another queue`,
      );
      for (const task of submission.tasks) task.abandon(closed);
      return;
    }
    if (this.#pending.join(submission)) return;
    this.#pending.add(submission);
    this.recordUse();
    this.#watchServed(submission);
    this.#sender.collect(submission);
  }

  /** Stores once at the engine that this queue is used, so that operators find it in their lists. */
  recordUse(): void {
    if (this.#isRecorded) return;
    this.#isRecorded = true;
    const { engine, queueName } = this.queues;
    const record = async (): Promise<void> => {
      await engine.connect();
      await engine.recordQueue(queueName);
    };
    record().catch(() => (this.#isRecorded = false));
  }

  #watchServed(submission: Submission): void {
    this.#unserved.watch(submission.name, () => this.#pending.current(submission) !== undefined);
  }

  /** Takes submissions that `add` sends by a command of its own. */
  async send(submissions: readonly Submission[], add: () => Promise<unknown>): Promise<void> {
    this.#addSending(submissions);
    await this.#sender.send(submissions, add);
  }

  /** Takes the submissions of a flow, with the parent last. `add` adds all jobs or none, and is repeated if it was cut. */
  async sendFlow(submissions: readonly Submission[], add: () => Promise<unknown>): Promise<void> {
    this.#addSending(submissions);
    this.recordUse();
    for (const submission of submissions) this.#watchServed(submission);
    await this.#sender.sendFlow(submissions, add);
  }

  #addSending(submissions: readonly Submission[]): void {
    for (const submission of submissions) {
      submission.change(SENDING);
      this.#pending.add(submission);
    }
  }

  /** Waits for a job that exists already. */
  attach(submission: Submission): void {
    if (this.#pending.join(submission)) return;
    submission.change(storedNow());
    this.#pending.add(submission);
    void this.#sender.send([submission], () => this.#watch.check([submission]));
  }

  /** Returns the tasks that wait for jobs of this queue. */
  pendingTasks(): RemoteTask<unknown>[] {
    return this.#pending.tasks();
  }

  /** Whether a submission is pending under an id. */
  knows(id: string): boolean {
    return this.#pending.get(id) !== undefined;
  }

  /** Resolves with true when the engine has confirmed a job, and with false when it has ended without that. */
  async sent(id: string): Promise<boolean> {
    return (await this.#pending.get(id)?.confirmed()) ?? false;
  }

  /** Cancels a pending job. */
  cancel(id: string, error: CancelledError): void {
    const submission = this.#pending.get(id);
    if (submission !== undefined) void this.#canceller.cancel(submission, error.message);
  }

  /**
   * Cancels the job of a task when the submission's own deadline has passed, in any state. The waiters then receive a
   * TimeoutError.
   */
  expireAfter(deadline: number | undefined, remote: RemoteTask<unknown>): void {
    if (deadline === undefined) return;
    const timer = getEventLoop().callLater(deadline, () => this.#expire(remote.id, deadline));
    remote.addDoneCallback(() => timer.cancel());
  }

  #expire(id: string, deadline: number): void {
    const submission = this.#pending.get(id);
    if (submission === undefined) return;
    submission.expiry = new TimeoutError(`Job ${id} did not end within its deadline of ${deadline} ms`);
    void this.#canceller.cancel(submission, "deadline");
  }

  /** Reads the state of a job. */
  async state(id: string): Promise<RemoteTaskState> {
    const submission = this.#pending.get(id);
    if (submission !== undefined && !submission.isStored) return "waiting";
    const state = await jobState(this.queues, id);
    // The engine keeps the submission until the running job of its key has ended. It has no record of its own yet.
    return state === "unknown" && submission !== undefined && isKeepable(submission) ? "waiting" : state;
  }

  /** Reads the lines that a job has logged. */
  async logs(id: string): Promise<string[]> {
    return await wholeLog(this.queues, id);
  }

  /**
   * Waits until the engine has the jobs that were submitted, and stops waiting for their ends. The pending tasks fail, and
   * their jobs continue at the engine.
   */
  close(): Promise<void> {
    return this.#life.stop(() => this.#close());
  }

  /** Resolves when no submission is on its way any more, or when the engine has been silent for too long. */
  async #stored(): Promise<void> {
    const { engine } = this.queues;
    const until = performance.now() + STORE_PATIENCE_MS;
    let silentSince: number | undefined;
    for (;;) {
      const open = this.#pending.all().filter(isOnTheWay);
      const now = performance.now();
      silentSince = engine.downFor() === 0 ? undefined : (silentSince ?? now);
      if (open.length === 0 || now > until || now - (silentSince ?? now) > CLOSE_PATIENCE_MS) return;
      await settleWithin(LOOK_INTERVAL_MS, Promise.all(open.map((submission) => submission.confirmed())));
    }
  }

  async #close(): Promise<void> {
    await this.#stored();
    this.#watch.close();
    for (const submission of this.#pending.all()) {
      if (isOnTheWay(submission)) {
        // Nobody may wait for the task, so the loop reports this error if it is not read.
        const lost = new QueueClosedError(
          `Queue ${this.queues.queueName} was closed before ${this.queues.engine.url} had confirmed job ${submission.id}, which may not be stored; submit it again, and with an \`id\` of its own it is stored once`,
        );
        this.#pending.fail([submission], lost);
        continue;
      }
      const error = new QueueClosedError(
        `Queue ${this.queues.queueName} was closed while job ${submission.id} was pending; the job continues, and attach("${submission.id}") finds it again`,
      );
      this.#pending.abandon(submission, error);
    }
    await settleWithin(CLOSE_PATIENCE_MS, this.queues.close());
  }
}

/** Whether the engine has not confirmed a submission. The parent of a lost flow waits for its children, and was stored before. */
function isOnTheWay({ isStored, children, mayHaveArrived }: Submission): boolean {
  return !isStored && !(children !== undefined && mayHaveArrived);
}
