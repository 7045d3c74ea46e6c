import { getEventLoop } from "@taskloom/loop";
import type { Handle, Task } from "@taskloom/loop";
import { WorkerDiedError } from "@taskloom/queue";
import {
  cancelledEnvelope,
  EarlyCancels,
  JOURNAL_PAGE,
  jobLeft,
  publicId,
  ReportedIds,
  RunJobs,
  StoredFailure,
  untilAnswered,
  untilDone,
  workerOfToken,
} from "@taskloom/queue/lane";
import type {
  BullJob,
  CancelRequest,
  JobData,
  LaneContext,
  LaneRunner,
  OpenedRun,
  RunCounts,
  WorkerLane,
} from "@taskloom/queue/lane";
import type { Json } from "@taskloom/queue/wire";
import { isWorkflowDefinition } from "../definition/workflow-definition.ts";
import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import { ReplayDivergedError } from "../errors.ts";
import { decodeEntry } from "../journal/entry.ts";
import type { Delivery } from "../journal/entry.ts";
import type { RunEnd } from "../run/host.ts";
import { AppendGroup } from "./append-group.ts";
import { Checks } from "./checks.ts";
import { argumentsOf, ResidentRun } from "./resident-run.ts";
import type { Leaving } from "./resident-run.ts";
import { deathsOf, firstEntryFor, isAtRetry, isOf } from "./opened-run.ts";
import { resultOf } from "./run-result.ts";
import { RunCache } from "./run-cache.ts";
import { RunRecord } from "./run-record.ts";

/** A run may outlive this many deaths of its worker at one length of its log. One death may be a deployment. */
const MAX_DEATHS = 3;
const SWEEP_MS = 1_000;
/** A resident run without an append reads its inbox this often, since a notification can be lost. */
const INBOX_EACH_MS = 5_000;

/** A job in this worker, from the call of `process` to its end. */
interface Seat {
  readonly id: string;
  readonly token: string;
  readonly attemptsStarted: number;
  /** Resolves when the job has left; made for a worker that hands all its jobs back. */
  left: PromiseWithResolvers<void> | undefined;
  run: ResidentRun | undefined;
  stop: Leaving | undefined;
  /** Whether a delivery was notified while no run was here to read it. */
  hasNews: boolean;
  isLeaving: boolean;
}

/** Runs the durable coroutines of one queue in a worker. */
export class WorkflowRunner implements LaneRunner {
  readonly #context: LaneContext;
  readonly #jobs: RunJobs;
  readonly #group: AppendGroup;
  readonly #lane: ConstructorParameters<typeof ResidentRun>[0];
  readonly #cache = new RunCache<ResidentRun>();
  readonly #checks = new Checks();
  readonly #seats = new Set<Seat>();
  /** The latest seat of each run. */
  readonly #byId = new Map<string, Seat>();
  readonly #early = new EarlyCancels();
  readonly #reported = new ReportedIds();
  #replayed = 0;
  #divergences = 0;
  #isDraining = false;
  #isClosed = false;
  #sweeping: Handle | undefined;
  #listening: { readonly worker: string; readonly stop: () => void } | undefined;

  constructor(context: LaneContext) {
    this.#context = context;
    this.#jobs = new RunJobs(context.engine, context.queue);
    this.#group = new AppendGroup(context.engine, context.laneName);
    this.#lane = {
      context,
      jobs: this.#jobs,
      group: this.#group,
      isFull: () => this.#seats.size >= context.concurrency,
      isChecked: (workflow) => this.#checks.isDue(workflow),
    };
  }

  get running(): number {
    return this.#seats.size;
  }

  get ending(): number {
    let ending = 0;
    for (const { isLeaving } of this.#seats) if (isLeaving) ending++;
    return ending;
  }

  get counts(): RunCounts {
    return { appends: this.#group.appends, replayed: this.#replayed, divergences: this.#divergences };
  }

  /** In one process a delivery and a park are one step each, so nothing is to be swept. */
  start(): void {
    if (!this.#context.engine.isLocal) this.#sweepLater();
  }

  #sweepLater(): void {
    this.#sweeping = getEventLoop().callLater(SWEEP_MS, () => void this.#sweep());
  }

  async #sweep(): Promise<void> {
    const { engine, laneName } = this.#context;
    for (const { run } of this.#seats) run?.lookRegularly(INBOX_EACH_MS);
    // The next sweep makes up for one that the engine has not answered.
    await engine.journal.sweep(laneName).catch(() => {});
    if (!this.#isClosed) this.#sweepLater();
  }

  #listen(token: string): void {
    const worker = workerOfToken(token);
    if (this.#listening?.worker === worker) return;
    this.#listening?.stop();
    const stop = this.#context.engine.journal.onDelivery(worker, ({ lane, id }) => {
      const seat = lane === this.#context.laneName ? this.#byId.get(id) : undefined;
      if (seat === undefined) return;
      // The notification can overtake the answer to the opening, and an answer from before the delivery has not its items.
      if (seat.run === undefined) seat.hasNews = true;
      else seat.run.news();
    });
    this.#listening = { worker, stop };
  }

  process(job: BullJob, token: string | undefined, lane?: WorkerLane): Promise<unknown> {
    const seat: Seat = {
      id: job.id!,
      token: token!, // A lane's worker passes the token of the lock with every job.
      attemptsStarted: job.attemptsStarted,
      left: undefined,
      run: undefined,
      stop: undefined,
      hasNews: false,
      isLeaving: false,
    };
    this.#listen(seat.token);
    this.#seats.add(seat);
    this.#byId.set(seat.id, seat);
    const early = this.#early.of(seat.id);
    if (early !== undefined) this.cancel(early);
    return this.#reside(seat, job, lane);
  }

  /** One async function for the whole residence: each further one would cost half a kilobyte of memory per resident run. */
  async #reside(seat: Seat, job: BullJob, lane: WorkerLane | undefined): Promise<unknown> {
    try {
      const admission = await this.#context.admit(job, seat.token, lane);
      if (admission.kind === "end") return admission.result;
      const workflow = admission.definition as unknown as WorkflowDefinition;
      const data = argumentsOf(workflow, job, admission.args);
      let run = await this.#open(seat, job, data, workflow, lane);
      let current = data;
      for (;;) {
        const leaving = await this.#drive(seat, run);
        if (leaving.kind === "park") {
          if (await this.#park(seat, run, leaving.until, current)) throw jobLeft("parked");
          continue;
        }
        seat.isLeaving = leaving.kind !== "ended" || leaving.end.state !== "continued";
        if (leaving.kind !== "ended") return await this.#leave(seat, run, job, leaving);
        const { end } = leaving;
        await run.logged();
        await this.#check(run, current);
        run.dispose();
        if (end.state !== "continued") return resultOf(end, job, lane, this.#context);
        seat.run = undefined;
        ({ run, data: current } = await this.#continueAs(
          seat,
          run.record,
          run.time,
          job,
          current,
          end,
          lane,
        ));
      }
    } finally {
      this.#vacate(seat);
    }
  }

  #vacate(seat: Seat): void {
    this.#seats.delete(seat);
    if (this.#byId.get(seat.id) === seat) this.#byId.delete(seat.id);
    seat.left?.resolve();
  }

  /** Drives a run in a task of the worker's loop, whose name shows tools where the run is. */
  #drive(seat: Seat, run: ResidentRun): Task<Leaving> {
    if (seat.stop !== undefined) run.stop(seat.stop);
    if (this.#isDraining) run.drain();
    if (seat.hasNews) run.news();
    seat.hasNews = false;
    return getEventLoop().createTask(() => run.drive(), { name: publicId("workflow", seat.id) });
  }

  async #open(
    seat: Seat,
    job: BullJob,
    data: JobData,
    workflow: WorkflowDefinition,
    lane: WorkerLane | undefined,
  ): Promise<ResidentRun> {
    const cached = this.#cache.take(seat.id);
    const opened = await this.#opened(seat, data, cached);
    const fits = cached !== undefined && opened !== undefined && isOf(cached, opened);
    if (!fits) cached?.dispose();
    const deaths = opened === undefined ? 0 : deathsOf(opened, data);
    if (opened !== undefined && deaths > MAX_DEATHS) {
      if (fits) cached.dispose();
      const message = `Run ${publicId("workflow", seat.id)} (${job.name}) was in each of ${deaths} workers that died at tick ${opened.length}, so it has failed; find out why they died, and retry the run`;
      throw new StoredFailure(new WorkerDiedError(message), { final: true });
    }
    if (fits) {
      seat.run = cached;
      cached.resume(job, opened);
      return cached;
    }
    const record = new RunRecord(seat.id, opened);
    if (opened !== undefined && (await this.#hasFailedBefore(seat.id, opened, data)))
      return await this.#beginAnew(seat, record, job, data, lane);
    const run = new ResidentRun(this.#lane, workflow, job, data, record);
    seat.run = run;
    try {
      if (opened === undefined || opened.length === 0) await run.begin(data);
      else await this.#replay(run, opened, firstEntryFor(cached));
    } catch (error) {
      run.dispose();
      if (!(error instanceof ReplayDivergedError)) throw error;
      this.#reportDivergence(run, seat.id, error);
      await this.#release(run.record);
      return await this.#context.putBack(job, seat.token, lane);
    }
    return run;
  }

  /** Returns whether the history of a run that was retried is at its end. The code may be another since, so nothing is replayed. */
  async #hasFailedBefore(id: string, { generation, length }: OpenedRun, data: JobData): Promise<boolean> {
    if (length === 0 || !isAtRetry(data, generation, length)) return false;
    const { engine, laneName } = this.#context;
    const [last] = await untilAnswered(engine, () => engine.journal.read(laneName, id, length - 1, 1));
    return last !== undefined && decodeEntry(last).commands.some(([mark]) => mark === "e");
  }

  /** Begins the present history of a run once more, as the next one, and without a deadline, as each retried job. */
  async #beginAnew(
    seat: Seat,
    record: RunRecord,
    job: BullJob,
    data: JobData,
    lane: WorkerLane | undefined,
  ): Promise<ResidentRun> {
    const carried = (data.continued?.carried ?? []) as Delivery[];
    const { deadline: _passed, ...again } = data;
    const { version } = again;
    const end = { state: "continued" as const, name: job.name, version, args: data.args as Json, carried };
    const { run } = await this.#continueAs(seat, record, job.timestamp, job, again, end, lane);
    return run;
  }

  /** Opens a run; a first start has nothing to open. Throws if the lock is another's. */
  async #opened(seat: Seat, data: JobData, cached: ResidentRun | undefined): Promise<OpenedRun | undefined> {
    if (seat.attemptsStarted === 1 && data.retried === undefined) return undefined;
    const { engine, laneName } = this.#context;
    const opened = await untilAnswered(engine, () =>
      engine.journal.open(laneName, seat.id, seat.token, firstEntryFor(cached)),
    );
    if (opened !== undefined) return opened;
    cached?.dispose();
    throw jobLeft("lost");
  }

  /** Replays the log, page by page. The answer to the opening has the entries from `from` on. */
  async #replay(run: ResidentRun, opened: OpenedRun, from: number): Promise<void> {
    const { engine, laneName } = this.#context;
    const { id } = run.record;
    let page: readonly string[] = from === 0 ? opened.entries : [];
    while (run.length < opened.length) {
      if (page.length === 0) {
        const at = run.length;
        page = await untilAnswered(engine, () => engine.journal.read(laneName, id, at, JOURNAL_PAGE));
        // The log has become shorter: another worker has the run.
        if (page.length === 0) throw jobLeft("lost");
      }
      await run.replay(page);
      this.#replayed += page.length;
      page = [];
    }
    run.live();
  }

  #reportDivergence(run: ResidentRun, id: string, error: ReplayDivergedError): void {
    if (!this.#reported.isFirst(id)) return;
    this.#divergences++;
    run.warn(error.code, error.message);
  }

  /** Parks a run. Returns whether it is parked; a run with news goes on. */
  async #park(seat: Seat, run: ResidentRun, until: number, data: JobData): Promise<boolean> {
    const { engine, laneName } = this.#context;
    const { place, inbox } = run.record;
    await run.logged();
    seat.isLeaving = true;
    const terms = { ...place, token: seat.token, read: inbox.read, until };
    const answer = await untilAnswered(engine, () => engine.journal.park(laneName, seat.id, terms));
    if (answer === "news") {
      seat.isLeaving = false;
      run.news();
      await run.fetched();
      return false;
    }
    seat.run = undefined;
    if (answer === "lost" || seat.stop !== undefined) {
      run.dispose();
      throw jobLeft("lost");
    }
    await this.#check(run, data);
    this.#cache.put(seat.id, run);
    return true;
  }

  async #check(run: ResidentRun, data: JobData): Promise<void> {
    try {
      await run.check(data);
    } catch (error) {
      run.warn("RUN_CHECK", `The replay for the check has failed: ${String(error)}`);
    }
  }

  async #leave(
    seat: Seat,
    run: ResidentRun,
    job: BullJob,
    leaving: Exclude<Leaving, { readonly kind: "ended" | "park" }>,
  ): Promise<unknown> {
    if (leaving.kind === "hand back") await run.close("the worker stops");
    run.dispose();
    switch (leaving.kind) {
      case "hand back":
        await this.#release(run.record);
        await untilDone(this.#context.engine, () => job.moveToWait(seat.token));
        throw jobLeft("handed back");
      case "terminated":
        return cancelledEnvelope(leaving.reason || undefined);
      case "failed":
        throw new StoredFailure(leaving.error, { final: true });
      case "lost":
        throw jobLeft("lost");
    }
  }

  /** Releases a run, so that its next owner counts no death of this worker. */
  async #release({ id, place }: RunRecord): Promise<void> {
    const { engine, laneName } = this.#context;
    await untilAnswered(engine, () => engine.journal.release(laneName, id, place.epoch));
  }

  /** Begins the next history of a run, which stays here if this worker has its workflow. */
  async #continueAs(
    seat: Seat,
    record: RunRecord,
    time: number,
    job: BullJob,
    data: JobData,
    end: RunEnd & { readonly state: "continued" },
    lane: WorkerLane | undefined,
  ): Promise<{ readonly run: ResidentRun; readonly data: JobData }> {
    const { engine, laneName, tasks } = this.#context;
    const { name, version, args, carried } = end;
    const next: JobData = {
      ...data,
      version,
      args: args as unknown[],
      continued: { at: Math.max(engine.now(), time), carried },
    };
    const terms = { ...record.place, token: seat.token, consume: record.inbox.read, data: next, name };
    const isNext = await untilAnswered(engine, () => engine.journal.continueAs(laneName, seat.id, terms));
    if (!isNext) throw jobLeft("lost");
    const workflow = tasks.get(name);
    record.nextGeneration();
    if (!isWorkflowDefinition(workflow) || workflow.task.version !== version) {
      await this.#release(record);
      return await this.#context.putBack(job, seat.token, lane);
    }
    const run = new ResidentRun(this.#lane, workflow, job, next, record);
    seat.run = run;
    await run.begin(next);
    return { run, data: next };
  }

  /** Ends a run at once: nothing of it is executed any more. */
  cancel(request: CancelRequest): void {
    const seat = this.#byId.get(request.id);
    if (seat === undefined) {
      this.#early.keep(request);
      return;
    }
    if (seat.token !== request.token || seat.attemptsStarted !== request.attemptsStarted) return;
    this.#stop(seat, { kind: "terminated", reason: request.reason });
  }

  abandon(id: string): void {
    const seat = this.#byId.get(id);
    // A run that leaves has given its lock up itself.
    if (seat !== undefined && !seat.isLeaving) this.#stop(seat, { kind: "lost" });
  }

  #stop(seat: Seat, leaving: Leaving): void {
    seat.stop ??= leaving;
    seat.run?.stop(leaving);
  }

  drain(): void {
    this.#isDraining = true;
    for (const { run } of this.#seats) run?.drain();
  }

  async handBackAll(): Promise<void> {
    this.#isDraining = true;
    const left = [...this.#seats].map((seat) => (seat.left ??= Promise.withResolvers()).promise);
    for (const seat of this.#seats) this.#stop(seat, { kind: "hand back" });
    await Promise.all(left);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#sweeping?.cancel();
    this.#listening?.stop();
    this.#group.close();
    for (const { run } of this.#seats) run?.dispose();
    this.#cache.clear();
    await this.#jobs.close();
  }
}
