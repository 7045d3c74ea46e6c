import { Future, getEventLoop, sleep } from "@taskloom/loop";
import { encodeValue, publicId, storableText, untilAnswered } from "@taskloom/queue/lane";
import type { AppendAnswer, BullJob, JobData, OpenedRun, RunAppend } from "@taskloom/queue/lane";
import type { Json } from "@taskloom/queue/wire";
import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import type { Delivery, EndRecord } from "../journal/entry.ts";
import { DurableRun } from "../run/durable-run.ts";
import type { RunEnd, TickResult } from "../run/host.ts";
import { outcomeOf } from "../run/inputs.ts";
import type { AppendGroup, Appending } from "./append-group.ts";
import { impurityOf } from "./impurity.ts";
import { pauseOfLooks, restOf } from "./parking.ts";
import type { RunRecord } from "./run-record.ts";
import { RunSteps } from "./run-steps.ts";
import type { StepsLane, StepsOwner } from "./run-steps.ts";

/** The parts of the lane that its runs share. */
export interface RunLane extends StepsLane {
  readonly group: AppendGroup;
  /** Whether no more runs fit in the memory, so that resting ones have to leave. */
  readonly isFull: () => boolean;
  /** Returns whether a run of a workflow is to be replayed now, for its check. */
  readonly isChecked: (workflow: WorkflowDefinition) => boolean;
}

/** The reason for which a run leaves the memory of a worker. */
export type Leaving =
  | { readonly kind: "ended"; readonly end: RunEnd }
  | { readonly kind: "park"; readonly until: number }
  | { readonly kind: "hand back" }
  | { readonly kind: "lost" }
  | { readonly kind: "terminated"; readonly reason: string }
  /** The engine refuses to store the run. */
  | { readonly kind: "failed"; readonly error: unknown };

/** After so many ticks without a rest the other work of the loop has its turn. */
const MAX_TICKS_IN_A_ROW = 64;
const NO_VIEWS: ReadonlyMap<string, Json> = new Map();
const NOTHING_YET: TickResult = {
  entry: null,
  isDeferrable: true,
  wakeAt: undefined,
  views: NO_VIEWS,
  end: undefined,
  pending: 0,
};

/**
 * One run in the memory of a worker. It waits for ends, items and times, and ticks when the coroutine rests: one tick at a
 * time.
 *
 * ```
 * begin | resume ──> drive ──> Leaving ──(parked)──> resume …
 * ```
 */
export class ResidentRun implements Appending, StepsOwner {
  readonly workflow: WorkflowDefinition;
  readonly #lane: RunLane;
  readonly #run: DurableRun;
  readonly #steps: RunSteps;
  readonly #record: RunRecord;
  #job: BullJob;
  #result = NOTHING_YET;
  #ends: EndRecord[] = [];
  #leaving: Leaving | undefined;
  #isDraining = false;
  /** Whether an append is to bring the inbox, although there is nothing to store. */
  #isAsking = false;
  #hasNews = false;
  #fetching: Promise<void> | undefined;
  #busyAt: number;
  #lookedAt: number;
  #fetchedAt: number;
  #wake: (() => void) | undefined;
  #isWoken = false;

  /** @param data the data of the job: it differs from the job's own after `continueAs`. */
  constructor(lane: RunLane, workflow: WorkflowDefinition, job: BullJob, data: JobData, record: RunRecord) {
    this.#lane = lane;
    this.workflow = workflow;
    this.#job = job;
    this.#record = record;
    this.#busyAt = this.#lookedAt = this.#fetchedAt = lane.context.engine.now();
    this.#steps = new RunSteps(lane, this);
    this.#run = new DurableRun({
      workflow,
      args: data.args as Json,
      id: publicId("workflow", job.id!),
      host: this.#steps,
      generation: record.place.generation,
      attempt: job.attemptsStarted,
      limits: data,
    });
  }

  get job(): BullJob {
    return this.#job;
  }

  get generation(): number {
    return this.#record.place.generation;
  }

  get record(): RunRecord {
    return this.#record;
  }

  /** The id by which users know the run. */
  get id(): string {
    return this.#run.id;
  }

  /** The id under which the job of the run is stored. */
  get storedId(): string {
    return this.#job.id!;
  }

  get length(): number {
    return this.#run.length;
  }

  /** The time of the last tick. */
  get time(): number {
    return this.#run.time;
  }

  /** Begins a history, by its first tick. */
  async begin(data: JobData): Promise<void> {
    const { engine } = this.#lane.context;
    const start = data.continued?.at ?? this.#job.timestamp;
    const carried = (data.continued?.carried ?? []) as Delivery[];
    this.#take(await this.#run.tick(start, carried), engine.now());
    if (this.#result.end !== undefined) return;
    // The answer to the first append brings what was delivered before the start.
    if (this.#result.pending === 0) {
      this.#isAsking = true;
      this.#store();
    }
    // A first step that ends soon brings it, too. If it takes longer, the next regular look reads the inbox.
    else if (engine.isLocal) this.news();
    else this.#fetchedAt = -Infinity;
  }

  /**
   * Replays a part of the history.
   *
   * @throws {@link ReplayDivergedError} if the code does not follow it.
   */
  async replay(entries: readonly string[]): Promise<void> {
    await this.#run.replay(entries);
    this.#record.replayed(entries);
  }

  /** Ends the replay. */
  live(): void {
    this.#result = { ...this.#run.live(this.#lane.context.engine.now()), entry: null, views: NO_VIEWS };
    if (this.#steps.jobs > 0) this.look();
  }

  /** Continues a run that has stayed in memory while it was parked. */
  resume(job: BullJob, opened: OpenedRun): void {
    this.#job = job;
    this.#record.reopen(opened);
    this.#leaving = undefined;
    const { engine } = this.#lane.context;
    this.#busyAt = this.#fetchedAt = engine.now();
    if (this.#steps.jobs > 0) this.look();
  }

  /** Runs until there is a reason to leave. Everything that the coroutine has asked for is stored by then, unless it is lost. */
  async drive(): Promise<Leaving> {
    const { engine } = this.#lane.context;
    for (let ticks = 0; ;) {
      if (this.#leaving !== undefined) return this.#leaving;
      const { end, wakeAt } = this.#result;
      if (end !== undefined) {
        if (this.#record.isClean) return { kind: "ended", end };
        const stored = this.#store().#rest(undefined);
        if (stored !== undefined) await stored;
        continue;
      }
      const now = engine.now();
      if (this.#ends.length > 0 || this.#record.inbox.hasNews || (wakeAt !== undefined && wakeAt <= now)) {
        await this.#tick(now);
        if (++ticks % MAX_TICKS_IN_A_ROW === 0) await sleep(0);
        continue;
      }
      ticks = 0;
      const leaving = this.#next(now);
      if (leaving.kind !== "stay" && this.#record.isClean) return leaving;
      const rest = leaving.kind === "stay" ? this.#rest(leaving.until) : this.#store().#rest(undefined);
      if (rest !== undefined) await rest;
    }
  }

  /** Returns how a run goes on that has nothing to do now. */
  #next(now: number): Leaving | { readonly kind: "stay"; readonly until: number | undefined } {
    const { context, isFull } = this.#lane;
    const { wakeAt, pending } = this.#result;
    const steps = this.#steps.running;
    if (this.#isDraining) return steps === 0 ? { kind: "hand back" } : { kind: "stay", until: undefined };
    const residentFor = isFull() ? 0 : this.workflow.workflow.residentFor;
    const { isLocal } = context.engine;
    const tickedAt = this.time;
    return restOf({ now, steps, pending, wakeAt, busyAt: this.#busyAt, tickedAt, residentFor, isLocal });
  }

  async #tick(now: number): Promise<void> {
    const deliveries = this.#deliveries();
    const ticked = this.#run.tick(now, deliveries);
    this.#take(ticked instanceof Promise ? await ticked : ticked, now);
  }

  #deliveries(): Delivery[] {
    const deliveries: Delivery[] = [];
    for (const text of this.#record.inbox.take()) {
      const delivery = this.#decode(text);
      if (delivery !== undefined) deliveries.push(delivery);
    }
    deliveries.push(...this.#ends);
    this.#ends = [];
    for (const [mark] of deliveries) if (typeof mark === "number") this.#steps.ended(mark);
    return deliveries;
  }

  /** Returns an item of the inbox; undefined for one that is not for this history, or that was answered before. */
  #decode(text: string): Delivery | undefined {
    let item: unknown;
    try {
      item = JSON.parse(text);
    } catch {
      // Another client can have stored any text.
    }
    if (!Array.isArray(item)) return undefined;
    const [mark, second, third, generation = 0] = item as readonly unknown[];
    if (typeof mark === "number") {
      if (generation !== this.#record.place.generation) return undefined;
      return [mark, second, third] as unknown as EndRecord;
    }
    if (mark === "u" && typeof second === "string") {
      const answer = this.#record.shown.answerTo(second);
      if (answer !== undefined) {
        this.#steps.answer(second, outcomeOf(answer[1], answer[2]));
        return undefined;
      }
    }
    // The key of the delivery is not recorded.
    if (mark === "s") return [mark, second, third] as unknown as Delivery;
    if (mark === "c") return [mark, second] as unknown as Delivery;
    return mark === "u" ? (item as unknown as Delivery) : undefined;
  }

  #take(result: TickResult, now: number): void {
    this.#busyAt = now;
    this.#result = result;
    const { entry, isDeferrable, views } = result;
    if (entry === null) return;
    const isShown = this.#record.add(entry, views, now);
    const waits = now - (this.#record.waitsSince ?? now);
    if (isDeferrable && !isShown) this.#run.release(this.#run.length);
    if (!isDeferrable || isShown || waits > this.workflow.workflow.residentFor) this.#store();
  }

  #store(): this {
    this.#lane.group.request(this);
    return this;
  }

  stepEnded(end: EndRecord): void {
    this.#ends.push(end);
    this.#awake();
  }

  nextAppend(): RunAppend | undefined {
    if (this.#leaving !== undefined) return undefined;
    // The append that was under way at the request may have stored all of it.
    if (this.#record.isClean && !this.#isAsking) return undefined;
    this.#isAsking = false;
    return this.#record.append();
  }

  appended(answer: AppendAnswer): void {
    const settled = this.#record.settle(answer);
    if (this.#leaving !== undefined) return;
    this.#fetchedAt = this.#lane.context.engine.now();
    if (settled === "stored") this.#run.release(this.#record.stored);
    else if (settled === "again") this.#store();
    // The engine has lost a whole history. A worker that opens the run again has to begin with what is there.
    else this.stop({ kind: "lost" });
    if (this.#record.isBehind(answer)) this.news();
    this.#awake();
  }

  appendFailed(error: unknown): void {
    this.stop({ kind: "failed", error });
  }

  /** Reads the inbox: there are items that this owner has not received. */
  news(): void {
    this.#hasNews = true;
    this.#fetching ??= this.#fetch().finally(() => (this.#fetching = undefined));
  }

  async #fetch(): Promise<void> {
    const { engine, laneName } = this.#lane.context;
    try {
      while (this.#hasNews && this.#leaving === undefined) {
        this.#hasNews = false;
        const from = this.#record.inbox.known;
        const items = await untilAnswered(
          engine,
          () => engine.journal.readInbox(laneName, this.#job.id!, from, Infinity),
          () => this.#leaving === undefined,
        );
        this.#fetchedAt = engine.now();
        this.#record.inbox.receive(from, items);
        if (items.length > 0) this.#hasNews = true;
        this.#awake();
      }
    } catch (error) {
      this.#steps.warn({ code: "RUN_INBOX", message: `The inbox could not be read: ${String(error)}` });
    }
  }

  /** Resolves when the inbox is read. */
  async fetched(): Promise<void> {
    await this.#fetching;
  }

  /** Reads news of which no notification has come: notifications and deliveries can be lost. Called each second. */
  lookRegularly(inboxEach: number): void {
    const now = this.#lane.context.engine.now();
    if (now - this.#fetchedAt >= inboxEach) this.news();
    const looked = this.#lookedAt;
    if (this.#steps.jobs > 0 && now - looked >= pauseOfLooks(looked - this.time)) this.look();
  }

  /** Checks the jobs without an end. */
  look(): void {
    this.#lookedAt = this.#lane.context.engine.now();
    this.#steps.look().catch((error: unknown) => {
      this.#steps.warn({ code: "RUN_JOBS", message: `The jobs could not be looked up: ${String(error)}` });
    });
  }

  /** Starts no more steps, and hands the run back when those under way have ended and are stored. */
  drain(): void {
    this.#isDraining = true;
    this.#steps.drain();
    this.#awake();
  }

  /** Makes the run leave now. */
  stop(leaving: Leaving): void {
    this.#leaving ??= leaving;
    this.#awake();
  }

  /** Cancels the steps, and resolves when they have ended. */
  async close(message: string): Promise<void> {
    await this.#steps.close(message);
  }

  /** Resolves when the lines of the run's log are stored. */
  async logged(): Promise<void> {
    await this.#steps.logged();
  }

  /** Replays the history if it is the turn of this run, and warns if the code does not follow it. */
  async check(data: JobData): Promise<void> {
    if (!this.#lane.isChecked(this.workflow)) return;
    const { place } = this.#record;
    const history = this.#record.history ?? (await this.#readHistory());
    if (history === undefined) return;
    const recorded = {
      id: this.id,
      args: data.args as Json,
      generation: place.generation,
      limits: data,
    };
    const impurity = await impurityOf(this.workflow, history, recorded);
    if (impurity !== undefined) this.warn("RUN_IMPURE", impurity);
  }

  /** Reads a history that is not kept in memory: a check of all runs leaves none out, and one of some can do without it. */
  async #readHistory(): Promise<readonly string[] | undefined> {
    if (this.workflow.workflow.check !== "always") return undefined;
    const { engine, laneName } = this.#lane.context;
    const { journal } = engine;
    const { id, stored, place } = this.#record;
    const history: string[] = [];
    while (history.length < stored) {
      const left = stored - history.length;
      const page = await untilAnswered(engine, () => journal.read(laneName, id, history.length, left));
      if (page.length === 0) return undefined;
      history.push(...page.slice(0, left));
    }
    // A parked run can have another owner by now, and that one may have begun the next history.
    const head = await untilAnswered(engine, () => journal.head(laneName, id));
    return head?.generation === place.generation ? history : undefined;
  }

  warn(code: string, message: string): void {
    this.#steps.warn({ code, message });
  }

  dispose(): void {
    void this.#steps.close("the run has left this worker");
    this.#run.dispose();
  }

  #awake(): void {
    this.#isWoken = true;
    this.#wake?.();
  }

  /**
   * Returns a future that is done when something happens, or at a time of the engine's clock; undefined if something has
   * happened already. It is no async function, which would keep half a kilobyte for each resident run.
   */
  #rest(until: number | undefined): Future<void> | undefined {
    if (this.#isWoken) {
      this.#isWoken = false;
      return undefined;
    }
    const woken = new Future<void>();
    const wake = (): void => {
      timer?.cancel();
      this.#wake = undefined;
      this.#isWoken = false;
      if (!woken.done()) woken.setResult();
    };
    const timer =
      until === undefined || until === Infinity
        ? undefined
        : getEventLoop().callLater(Math.max(0, until - this.#lane.context.engine.now()), wake);
    this.#wake = wake;
    return woken;
  }
}

/** Returns the encoded arguments of a run: those that the schema of the workflow makes of the stored ones. */
export function argumentsOf(
  workflow: WorkflowDefinition,
  job: BullJob,
  checked: readonly unknown[],
): JobData {
  if (workflow.task.args === undefined && job.plain === undefined) return job.data;
  const args = encodeValue(checked, { name: storableText(`arguments of ${workflow.task.name}`) });
  return { ...job.data, args: args as unknown[] };
}
