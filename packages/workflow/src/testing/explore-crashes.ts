import { TaskloomError } from "@taskloom/loop";
import { encodeValue } from "@taskloom/queue/wire";
import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import type { Delivery } from "../journal/entry.ts";
import type { HistoryBounds } from "../journal/bounds.ts";
import { Seeded } from "../run/seeded.ts";
import { live } from "./life.ts";
import type { Lived, Sent, Story, Stored } from "./life.ts";
import { checkReplay } from "../run/check-replay.ts";

/** A signal, an update or a cancel that an exploration sends. */
export type Sending =
  | { readonly at: number; readonly signal: { readonly name: string }; readonly payload?: unknown }
  | {
      readonly at: number;
      readonly update: { readonly name: string };
      readonly args?: readonly unknown[];
      readonly id?: string;
    }
  | { readonly at: number; readonly cancel: string };

/** The options of {@link exploreCrashes}. */
export interface ExploreCrashesOptions<A extends readonly unknown[] = readonly unknown[]> {
  readonly args?: A;
  /** The number of orders in which steps end (0, 1, 2 …), or their seeds; 5 by default. */
  readonly seeds?: number | Iterable<number>;
  /** Items for the run; `at` is in milliseconds after its start. */
  readonly send?: readonly Sending[];
  /** The time of the start, in milliseconds since 1970. Default: the start of 2026. */
  readonly start?: number;
  /** The most lives of one order with a single crash; by default each append has a crash before it and one after it. */
  readonly maxCrashes?: number;
  /** Other workflows that `continueAs` names. */
  readonly workflows?: readonly WorkflowDefinition[];
  readonly bounds?: Partial<HistoryBounds>;
  /** Milliseconds after the start after which the run is cancelled, as by `queue.with({ deadline })`. */
  readonly deadline?: number;
  /** Milliseconds that each history may take, as by `queue.with({ timeout })`. */
  readonly timeout?: number;
  /** Called with the outcome of each order's calm life. */
  readonly onLived?: (lived: Lived, seed: number) => void;
}

/** The counts of an exploration. */
export interface Explored {
  readonly lives: number;
  readonly crashes: number;
  readonly ticks: number;
}

/** A crash that changes a run's result or its journal. `seed` and `plan` find it again. Code `CRASH_DIVERGED`. */
export class CrashDivergedError extends TaskloomError {
  readonly seed: number;
  readonly plan: string;
  constructor(seed: number, plan: string, detail: string, cause?: unknown) {
    super(
      "CRASH_DIVERGED",
      `Under seed ${seed}, a run that ${plan} does not end as one without a crash:\n${detail}\n` +
        `Replay it with exploreCrashes(workflow, { seeds: [${seed}] }). Likely, the code reads something unrecorded`,
      { cause },
    );
    this.name = "CrashDivergedError";
    this.seed = seed;
    this.plan = plan;
  }
}

/**
 * Runs a workflow in virtual time under many orders in which its steps end, and lets its worker die before and after
 * each append: once in a life, at some appends, and at all of them. Each such life must have the result and the journal of the calm one. Each journal is also replayed. Steps
 * run as they are, several times, as after real crashes: replace tasks that reach the world by fakes.
 *
 * @throws {@link CrashDivergedError} with the seed and the crash that changes the run.
 * @throws {@link ReplayDivergedError} if the code does not follow its own history.
 * @example
 * ```ts
 * import { defineTask } from "@taskloom/queue";
 * import { defineWorkflow, step } from "@taskloom/workflow";
 * import { exploreCrashes } from "@taskloom/workflow/testing";
 *
 * const double = defineTask({ name: "double" }, (n: number) => 2 * n);
 * const eight = defineWorkflow({ name: "eight" }, function* () {
 *   let n = 1;
 *   for (let i = 0; i < 3; i++) n = yield* step(double, n);
 *   return n;
 * });
 * const { lives } = await exploreCrashes(eight, { seeds: 2 });
 * console.log(lives); // 14
 * ```
 */
export async function exploreCrashes<A extends unknown[]>(
  workflow: WorkflowDefinition<A>,
  options: ExploreCrashesOptions<NoInfer<A>> = {},
): Promise<Explored> {
  const { seeds = 5, maxCrashes = Infinity, start = 1_767_225_600_000, deadline, timeout } = options;
  const base = {
    workflow: workflow as unknown as WorkflowDefinition,
    args: encodeValue(options.args ?? [], { name: "args" }),
    id: "workflow.explored",
    start,
    sent: (options.send ?? []).map((sending, index) => sentOf(sending, index, start)),
    bounds: options.bounds ?? {},
    limits: { deadline: deadline === undefined ? undefined : start + deadline, timeout },
    workflows: new Map(
      [workflow as unknown as WorkflowDefinition, ...(options.workflows ?? [])].map((each) => [
        each.task.name,
        each,
      ]),
    ),
  };
  const totals = { lives: 0, crashes: 0, ticks: 0 };
  for (const seed of typeof seeds === "number" ? Array.from({ length: seeds }, (_, i) => i) : seeds) {
    const story = { ...base, seed };
    // oxlint-disable-next-line no-await-in-loop -- one order after the other
    const calm = await live({ ...story, dies: () => false });
    count(totals, calm);
    options.onLived?.(calm, seed);
    // oxlint-disable-next-line no-await-in-loop
    await replayHistories(story, calm);
    for (const plan of plansOf(seed, calm, maxCrashes)) {
      // oxlint-disable-next-line no-await-in-loop
      count(totals, await compared(story, calm, seed, plan));
    }
  }
  return totals;
}

type Untold = Omit<Story, "dies">;

interface Plan {
  readonly text: string;
  readonly dies: Story["dies"];
  /** The state that the crash leaves, if that is known; the life begins there. */
  readonly from?: Stored;
}

/**
 * One crash for each state that the calm life has stored, one life that crashes at a third of all appends, and one that
 * crashes after each of them. The state
 * before an append is that after the append before it, so each append has a crash before it and one after it. A life
 * with one crash is the calm life up to there, and begins at that state.
 */
function plansOf(seed: number, { stored, appends, world }: Lived, maxCrashes: number): Plan[] {
  const random = new Seeded(`crashes ${seed}`);
  const singles = stored.map((state, index): Plan => {
    const text =
      state.generation === 0
        ? `dies with ${index} of ${appends} appends stored`
        : `dies with ${state.length} entries of its history ${state.generation} stored`;
    // The logs of children are no part of the state, so such a life begins at its start.
    if (world.hasChildren) return { text, dies: diesAfter(index) };
    return { text, dies: () => false, from: state };
  });
  while (singles.length > maxCrashes) singles.splice(Math.floor(random.random() * singles.length), 1);
  const last = 3 * appends + 10;
  const some: Plan = {
    text: "dies at a third of its appends",
    dies: (append, when) => append < last && random.random() < (when === "before" ? 0.15 : 0.2),
  };
  const all: Plan = { text: "dies after each append", dies: (_append, when) => when === "after" };
  return [...singles, some, all];
}

/** A crash after so many appends; with none, before the first. */
function diesAfter(appends: number): Story["dies"] {
  let hasDied = false;
  return (append, when) => {
    if (
      hasDied ||
      (appends === 0 ? append !== 0 || when !== "before" : append !== appends - 1 || when !== "after")
    ) {
      return false;
    }
    return (hasDied = true);
  };
}

async function compared(story: Untold, calm: Lived, seed: number, plan: Plan): Promise<Lived> {
  let lived: Lived;
  try {
    lived = await live({ ...story, dies: plan.dies }, plan.from);
  } catch (error) {
    throw new CrashDivergedError(
      seed,
      plan.text,
      error instanceof Error ? error.message : String(error),
      error,
    );
  }
  const difference = differenceOf(calm, lived);
  if (difference !== null) throw new CrashDivergedError(seed, plan.text, difference);
  return lived;
}

/** Returns the first difference of two lives, or null. */
function differenceOf(calm: Lived, crashed: Lived): string | null {
  for (const [generation, history] of calm.histories.entries()) {
    const other = crashed.histories[generation] ?? [];
    for (let tick = 0; tick < Math.max(history.length, other.length); tick++) {
      if (history[tick] !== other[tick]) {
        return `  tick ${tick} without a crash: ${history[tick] ?? "none"}\n  tick ${tick} with it: ${other[tick] ?? "none"}`;
      }
    }
  }
  const [a, b] = [calm.end, crashed.end].map((end) =>
    end.state === "failed" ? end.state : JSON.stringify(end),
  );
  return a === b ? null : `  the end without a crash: ${a}\n  the end with it: ${b}`;
}

/** Replays each history, those that `continueAs` has begun included. */
async function replayHistories({ id, bounds, limits }: Untold, { histories, stored }: Lived): Promise<void> {
  for (const [generation, history] of histories.entries()) {
    const { workflow, args } = stored.find((state) => state.generation === generation)!;
    // oxlint-disable-next-line no-await-in-loop -- one history after the other
    await checkReplay(workflow, history, { id, args, generation, bounds, limits });
  }
}

function count(totals: { lives: number; crashes: number; ticks: number }, lived: Lived): void {
  totals.lives++;
  totals.crashes += lived.crashes;
  totals.ticks += lived.ticks;
}

function sentOf(sending: Sending, index: number, start: number): Sent {
  const at = start + sending.at;
  if ("signal" in sending) return { at, item: ["s", sending.signal.name, encodeValue(sending.payload)] };
  if ("cancel" in sending) return { at, item: ["c", sending.cancel] };
  const item: Delivery = [
    "u",
    sending.id ?? `update-${index}`,
    sending.update.name,
    encodeValue(sending.args ?? []),
  ];
  return { at, item };
}
