import { TaskloomError } from "@taskloom/loop";
import type { Json } from "@taskloom/queue/wire";
import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import type { Delivery } from "../journal/entry.ts";
import type { HistoryBounds } from "../journal/bounds.ts";
import { DurableRun } from "../run/durable-run.ts";
import type { RunEnd, TickResult } from "../run/host.ts";
import { World } from "./world.ts";

/** Something that is sent to the run at a time of the world. */
export interface Sent {
  readonly at: number;
  readonly item: Delivery;
}

/** A whole story of a run: its world, and where its workers die. */
export interface Story {
  readonly workflow: WorkflowDefinition;
  /** The encoded list of arguments. */
  readonly args: Json;
  readonly id: string;
  readonly start: number;
  readonly seed: number;
  readonly sent: readonly Sent[];
  /** The workflows that `continueAs` may name, by their names. */
  readonly workflows: ReadonlyMap<string, WorkflowDefinition>;
  readonly bounds: Partial<HistoryBounds>;
  /** Whether the worker dies before or after the append of this number, counted over all its lives. */
  readonly dies: (append: number, when: "before" | "after") => boolean;
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
}

/** The most ticks of one story. A run that goes on longer never ends. */
const MAX_TICKS = 100_000;

/** Lives a story to its end, in virtual time: crash by crash, each time replayed from what was stored. */
export async function live(story: Story): Promise<Lived> {
  return await new Life(story).run();
}

class Life {
  readonly #story: Story;
  readonly #world: World;
  readonly #histories: string[][] = [];
  #workflow: WorkflowDefinition;
  #args: Json;
  /** The log of the history under way. */
  #log: string[] = [];
  #sent: readonly Sent[];
  /** The number of items of `#sent` that the log has consumed, and that this life has read. */
  #consumed = 0;
  #read = 0;
  #start: number;
  #generation = 0;
  #appends = 0;
  #crashes = 0;
  #ticks = 0;
  #views = new Map<string, Json>();

  constructor(story: Story) {
    this.#story = story;
    this.#workflow = story.workflow;
    this.#args = story.args;
    this.#sent = story.sent;
    this.#start = story.start;
    this.#world = new World(story.seed);
  }

  async run(): Promise<Lived> {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- one life after the other
      const end = await this.#one();
      if (end === null) {
        this.#crashes++;
        this.#world.crash();
        continue;
      }
      this.#histories.push(this.#log);
      if (end.state === "continued") {
        this.#continueAs(end);
        continue;
      }
      const totals = { appends: this.#appends, crashes: this.#crashes, ticks: this.#ticks };
      return { end, histories: this.#histories, world: this.#world, views: this.#views, ...totals };
    }
  }

  #continueAs(end: RunEnd & { readonly state: "continued" }): void {
    const next = this.#story.workflows.get(end.name);
    if (next === undefined) throw new LifeError(`continueAs(${end.name}) names no workflow of the story`);
    this.#workflow = next;
    this.#args = end.args;
    const carried = end.carried.map((item) => ({ at: this.#start, item }));
    this.#sent = [...carried, ...this.#sent.slice(this.#consumed)];
    this.#consumed = 0;
    this.#log = [];
    this.#generation++;
    this.#world.crash();
  }

  /** Lives until the run ends, or until the worker dies, which is null. */
  async #one(): Promise<RunEnd | null> {
    const run = new DurableRun({
      workflow: this.#workflow,
      args: this.#args,
      id: this.#story.id,
      generation: this.#generation,
      attempt: this.#crashes + 1,
      bounds: this.#story.bounds,
      host: this.#world,
    });
    try {
      return await this.#drive(run);
    } finally {
      run.dispose();
    }
  }

  async #drive(run: DurableRun): Promise<RunEnd | null> {
    let unstored: string[] = [];
    this.#read = this.#consumed;
    let result: TickResult;
    if (this.#log.length === 0) {
      result = await run.tick(this.#start, []);
    } else {
      await run.replay(this.#log);
      result = run.live(run.time);
    }
    // Time goes back to the last stored tick: the world's events have their times, and come again.
    let now = run.time;
    for (;;) {
      for (const [name, value] of result.views) this.#views.set(name, value);
      if (result.entry !== null) {
        if (++this.#ticks > MAX_TICKS) throw new LifeError("the run does not end");
        unstored.push(result.entry);
        if (!result.isDeferrable) {
          const append = this.#appends++;
          if (this.#story.dies(append, "before")) return null;
          this.#log.push(...unstored);
          unstored = [];
          this.#consumed = this.#read;
          if (this.#story.dies(append, "after")) return null;
        }
        run.release(run.length);
      }
      if (result.end !== undefined) {
        this.#start = now;
        return result.end;
      }
      const working = this.#world.run(now);
      // oxlint-disable-next-line no-await-in-loop -- one tick after the other
      const ends = working instanceof Promise ? await working : working;
      const deliveries: Delivery[] = [];
      while (this.#read < this.#sent.length && this.#sent[this.#read]!.at <= now) {
        deliveries.push(this.#sent[this.#read++]!.item);
      }
      deliveries.push(...ends);
      const { wakeAt } = result;
      if (deliveries.length === 0 && (wakeAt === undefined || wakeAt > now)) {
        const next = Math.min(
          wakeAt ?? Infinity,
          this.#world.nextDeadline ?? Infinity,
          this.#sent[this.#read]?.at ?? Infinity,
        );
        if (next === Infinity) throw new LifeError("the run waits, and nothing is left that could wake it");
        now = Math.max(now, next);
        result = { ...result, entry: null, views: NO_VIEWS };
        continue;
      }
      const ticked = run.tick(now, deliveries);
      // oxlint-disable-next-line no-await-in-loop
      result = ticked instanceof Promise ? await ticked : ticked;
    }
  }
}

const NO_VIEWS: ReadonlyMap<string, Json> = new Map();

/** A story that cannot go on. Code `LIFE_STUCK`. */
export class LifeError extends TaskloomError {
  constructor(reason: string) {
    super("LIFE_STUCK", `The story of this run has no end: ${reason}. Send it a signal, or give it a timeout`);
    this.name = "LifeError";
  }
}
