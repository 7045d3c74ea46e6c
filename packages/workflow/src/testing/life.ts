import { TaskloomError } from "@taskloom/loop";
import type { Json } from "@taskloom/queue/wire";
import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import { CANCELLED, COMPLETED, FAILED, recordable } from "../journal/entry.ts";
import type { Delivery, EndRecord } from "../journal/entry.ts";
import type { HistoryBounds } from "../journal/bounds.ts";
import { DurableRun } from "../run/durable-run.ts";
import type { JobStart, RunEnd, TickResult } from "../run/host.ts";
import type { RunLimits } from "../run/run-limits.ts";
import { World } from "./world.ts";
import type { Working } from "./world.ts";

/** Something that is sent to the run at a time of the world. */
export interface Sent {
  readonly at: number;
  readonly item: Delivery;
}

/** A whole story of a run, and where its workers die. */
export interface Story {
  readonly workflow: WorkflowDefinition;
  /** The encoded list of arguments. */
  readonly args: Json;
  readonly id: string;
  readonly start: number;
  /** Decides how long steps take. */
  readonly seed: number | string;
  readonly sent: readonly Sent[];
  /** The workflows that `continueAs` may name, by their names. */
  readonly workflows: ReadonlyMap<string, WorkflowDefinition>;
  readonly bounds: Partial<HistoryBounds>;
  readonly limits: RunLimits;
  /** Whether the worker dies before or after the append of this number, counted over all its lives. */
  readonly dies: (append: number, when: "before" | "after") => boolean;
}

/** Everything of a run that the death of its worker does not touch. */
export interface Stored {
  readonly workflow: WorkflowDefinition;
  readonly args: Json;
  readonly start: number;
  readonly generation: number;
  /** The finished histories, and the log of the one under way, of which the first `length` entries are stored. */
  readonly histories: readonly (readonly string[])[];
  readonly log: readonly string[];
  readonly length: number;
  readonly sent: readonly Sent[];
  /** The number of items of `sent` that the log has consumed. */
  readonly consumed: number;
}

/** The outcome of a story. */
export interface Lived {
  readonly end: RunEnd;
  /** The histories: one, and one more for each `continueAs`. */
  readonly histories: readonly (readonly string[])[];
  readonly world: World;
  readonly appends: number;
  readonly crashes: number;
  readonly ticks: number;
  readonly views: ReadonlyMap<string, Json>;
  /** The state before the first append, and that after each append and each `continueAs`. */
  readonly stored: readonly Stored[];
}

/** The most ticks of one story. A run that goes on longer never ends. */
const MAX_TICKS = 100_000;

/** Lives a story to its end, from its start or from a stored state, crash by crash. */
export async function live(story: Story, from?: Stored): Promise<Lived> {
  const life = new Life(story, from);
  const end = await life.until(Infinity);
  if (end === null) throw new LifeError("the run waits, and nothing is left that could wake it");
  return life.lived(end);
}

/**
 * The lives of one run in virtual time: a worker has it, dies, and another one replays what was stored.
 *
 * ```
 * no run ──open──> resident ──crash──> no run
 *                     └──end──> ended, or continued: no run, and the next history
 * ```
 */
export class Life {
  readonly #story: Story;
  readonly #world: World;
  readonly #histories: (readonly string[])[];
  readonly #stored: Stored[] = [];
  #workflow: WorkflowDefinition;
  #args: Json;
  #log: string[];
  #sent: Sent[];
  #consumed: number;
  /** The number of items of `#sent` that the resident run has read. */
  #read = 0;
  #start: number;
  #generation: number;
  #appends = 0;
  #crashes = 0;
  #ticks = 0;
  readonly #views = new Map<string, Json>();
  #run: DurableRun | null = null;
  #unstored: string[] = [];
  #now = 0;
  #wakeAt: number | undefined = undefined;
  #end: RunEnd | null = null;

  constructor(story: Story, from?: Stored) {
    this.#story = story;
    this.#world = new World(story.seed, (job, start) => new ChildLife(story, job, start));
    this.#workflow = from?.workflow ?? story.workflow;
    this.#args = from === undefined ? story.args : from.args;
    this.#start = from?.start ?? story.start;
    this.#generation = from?.generation ?? 0;
    this.#histories = [...(from?.histories ?? [])];
    this.#log = from?.log.slice(0, from.length) ?? [];
    this.#sent = [...(from?.sent ?? story.sent)];
    this.#consumed = from?.consumed ?? 0;
    if (from === undefined) this.#keep();
    else this.#crashes = 1;
  }

  /** The time at which the run goes on by itself; undefined if only a sending can continue it. */
  get due(): number | undefined {
    if (this.#run === null) return this.#log.length === 0 ? this.#start : this.#now;
    return this.#next();
  }

  lived(end: RunEnd): Lived {
    return {
      end,
      histories: this.#histories,
      world: this.#world,
      appends: this.#appends,
      crashes: this.#crashes,
      ticks: this.#ticks,
      views: this.#views,
      stored: this.#stored,
    };
  }

  /** The time up to which the run has lived. */
  get now(): number {
    return this.#now;
  }

  /** Sends an item to the run. Times of sendings never go back. */
  send(sent: Sent): void {
    this.#sent.push(sent);
  }

  /** Lets the worker die. The next one has everything that was stored. */
  crash(): void {
    this.#run?.dispose();
    this.#run = null;
    this.#unstored = [];
    this.#world.crash();
  }

  /** Lives until the run ends, or until nothing happens up to a time of the world, which is null. */
  async until(time: number): Promise<RunEnd | null> {
    try {
      for (;;) {
        if (this.#run === null) {
          if (this.#log.length === 0 && this.#start > time) return null;
          // oxlint-disable-next-line no-await-in-loop -- one life after the other
          if (!this.#take(await this.#open())) continue;
        }
        if (this.#end !== null) {
          const end = this.#end;
          this.#leave(end);
          if (end.state === "continued") continue;
          return end;
        }
        const working = this.#world.run(this.#now);
        // oxlint-disable-next-line no-await-in-loop -- one tick after the other
        const ends = working instanceof Promise ? await working : working;
        const deliveries: Delivery[] = [];
        while (this.#read < this.#sent.length && this.#sent[this.#read]!.at <= this.#now) {
          deliveries.push(this.#sent[this.#read++]!.item);
        }
        deliveries.push(...ends);
        if (deliveries.length === 0 && (this.#wakeAt === undefined || this.#wakeAt > this.#now)) {
          const next = this.#next();
          if (next === undefined || next > time) return null;
          this.#now = Math.max(this.#now, next);
          continue;
        }
        const ticked = this.#run!.tick(this.#now, deliveries);
        // oxlint-disable-next-line no-await-in-loop
        this.#take(ticked instanceof Promise ? await ticked : ticked);
      }
    } catch (error) {
      this.crash();
      throw error;
    }
  }

  #next(): number | undefined {
    const wakeAt = this.#wakeAt ?? Infinity;
    const next = Math.min(
      wakeAt,
      this.#world.nextDeadline ?? Infinity,
      this.#sent[this.#read]?.at ?? Infinity,
    );
    return next === Infinity ? undefined : next;
  }

  async #open(): Promise<TickResult> {
    const run = new DurableRun({
      workflow: this.#workflow,
      args: this.#args,
      id: this.#story.id,
      generation: this.#generation,
      attempt: this.#crashes + 1,
      bounds: this.#story.bounds,
      limits: this.#story.limits,
      host: this.#world,
    });
    this.#run = run;
    this.#read = this.#consumed;
    let result: TickResult;
    if (this.#log.length === 0) {
      result = await run.tick(this.#start, []);
    } else {
      await run.replay(this.#log);
      result = run.live(run.time);
    }
    // Time goes back to the last stored tick: the world's events have their times, and come again.
    this.#now = run.time;
    return result;
  }

  /** Stores the entry of a tick, and starts its effects. Returns whether the worker is still alive. */
  #take({ entry, isDeferrable, views, wakeAt, end }: TickResult): boolean {
    for (const [name, value] of views) this.#views.set(name, value);
    this.#wakeAt = wakeAt;
    this.#end = end ?? null;
    if (entry === null) return true;
    if (++this.#ticks > MAX_TICKS) throw new LifeError("the run does not end");
    this.#unstored.push(entry);
    if (!isDeferrable) {
      const append = this.#appends++;
      if (this.#dies(append, "before")) return false;
      this.#log.push(...this.#unstored);
      this.#unstored = [];
      this.#consumed = this.#read;
      this.#keep();
      if (this.#dies(append, "after")) return false;
    }
    this.#run!.release(this.#run!.length);
    return true;
  }

  #dies(append: number, when: "before" | "after"): boolean {
    if (!this.#story.dies(append, when)) return false;
    this.#crashes++;
    this.crash();
    return true;
  }

  #keep(): void {
    this.#stored.push({
      workflow: this.#workflow,
      args: this.#args,
      start: this.#start,
      generation: this.#generation,
      histories: [...this.#histories],
      log: this.#log,
      length: this.#log.length,
      sent: this.#sent,
      consumed: this.#consumed,
    });
  }

  #leave(end: RunEnd): void {
    this.#histories.push(this.#log);
    this.crash();
    if (end.state !== "continued") return;
    const next = this.#story.workflows.get(end.name);
    if (next === undefined) throw new LifeError(`continueAs(${end.name}) names no workflow of the story`);
    this.#workflow = next;
    this.#args = end.args;
    this.#start = this.#now;
    const carried = end.carried.map((item) => ({ at: this.#start, item }));
    this.#sent = [...carried, ...this.#sent.slice(this.#consumed)];
    this.#consumed = 0;
    this.#log = [];
    this.#generation++;
    this.#keep();
  }
}

/**
 * A child workflow, as a run of its own: the death of its parent's worker is that of its own, and each of its ticks is
 * stored at once.
 */
class ChildLife implements Working {
  readonly command: number;
  readonly #life: Life;
  #ended: { readonly end: EndRecord; readonly at: number } | null = null;
  #time = 0;
  #isCancelled = false;

  constructor(parent: Story, job: JobStart, start: number) {
    this.command = job.command;
    const { deadline, timeout } = job.options;
    this.#life = new Life({
      ...parent,
      workflow: job.task as WorkflowDefinition,
      args: job.args,
      id: job.id,
      start,
      seed: `${parent.seed}/${job.command}`,
      limits: { deadline: deadline === undefined ? undefined : job.from + deadline, timeout },
      sent: [],
      dies: () => false,
    });
  }

  /** After its crash, the parent is at an earlier time than the child, and gets the end at the child's time. */
  get end(): EndRecord | null {
    return this.#ended !== null && this.#ended.at <= this.#time ? this.#ended.end : null;
  }

  get due(): number | undefined {
    return this.#ended === null ? this.#life.due : this.#ended.at;
  }

  catchUp(time: number): void | Promise<void> {
    this.#time = time;
    return this.#ended === null ? this.#goOn(time) : undefined;
  }

  async #goOn(time: number): Promise<void> {
    const end = await this.#life.until(time);
    if (end !== null) this.#ended = { end: endOf(this.command, end), at: this.#life.now };
  }

  /** Sends the cancel to the child, once: a parent that is replayed sends it again. */
  cancel(time: number, message: string | undefined): void {
    if (this.#isCancelled) return;
    this.#isCancelled = true;
    this.#life.send({ at: time, item: ["c", message ?? null] });
  }

  crash(): void {
    this.#life.crash();
  }
}

function endOf(command: number, end: RunEnd): EndRecord {
  if (end.state === "completed") return [command, COMPLETED, end.value];
  if (end.state === "failed") return [command, FAILED, recordable(end.error)];
  return [command, CANCELLED, end.state === "cancelled" ? (end.message ?? null) : null];
}

/** A story that cannot go on. Code `LIFE_STUCK`. */
export class LifeError extends TaskloomError {
  constructor(reason: string) {
    super(
      "LIFE_STUCK",
      `The story of this run has no end: ${reason}. Send it a signal, or give it a timeout`,
    );
    this.name = "LifeError";
  }
}
