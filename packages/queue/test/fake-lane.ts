import { CancelledError, Future, createTask } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import type { TaskDefinition } from "@taskloom/queue";
import {
  cancelledEnvelope,
  defineLaneTask,
  encodeValue,
  jobLeft,
  publicId,
  StoredFailure,
  untilDone,
} from "@taskloom/queue/lane";
import type {
  BullJob,
  CancelRequest,
  LaneContext,
  LaneRunner,
  LaneTaskDefinition,
  Step,
  WorkerLane,
} from "@taskloom/queue/lane";

/** A run of the fake lane, for the body of its task. */
export interface FakeRun {
  readonly context: LaneContext;
  readonly job: BullJob;
  readonly id: string;
  readonly args: readonly unknown[];
  /** Starts a step of a task that the worker knows. */
  readonly step: (task: TaskDefinition, args: readonly unknown[], more?: Partial<Step>) => Task<unknown>;
  /** Parks the run until a time, or waits for as long as it takes. Never resolves. */
  readonly park: (until: number) => Promise<never>;
  /** Waits without a step until the run is stopped. */
  readonly rest: () => Promise<never>;
}

interface ResidentRun {
  readonly task: Task<unknown>;
  readonly token: string;
  readonly steps: Set<Task<unknown>>;
  stop: "cancelled" | "hand back" | "lost" | undefined;
  parksAt: number | undefined;
}

/** A lane whose runs are plain async functions: they start from the beginning each time, and record nothing. */
export class FakeLane {
  /** The calls of the hooks and of the stops, in order. */
  readonly events: string[] = [];
  readonly contexts: LaneContext[] = [];
  readonly #bodies = new Map<string, (run: FakeRun) => Promise<unknown>>();

  /** Defines a task of the lane. */
  define<A extends unknown[]>(
    name: string,
    body: (run: FakeRun) => Promise<unknown>,
  ): LaneTaskDefinition<A, Promise<unknown>> {
    this.#bodies.set(name, body);
    return defineLaneTask("defineFake", { name }, this.open, async (..._args: A): Promise<unknown> => name);
  }

  readonly open = (context: LaneContext): LaneRunner => {
    this.contexts.push(context);
    return new FakeRunner(context, (name) => this.#bodies.get(name)!, this.events);
  };
}

class FakeRunner implements LaneRunner {
  readonly #context: LaneContext;
  readonly #bodyOf: (name: string) => (run: FakeRun) => Promise<unknown>;
  readonly #events: string[];
  readonly #runs = new Map<string, ResidentRun>();
  #isDraining = false;

  constructor(
    context: LaneContext,
    bodyOf: (name: string) => (run: FakeRun) => Promise<unknown>,
    events: string[],
  ) {
    this.#context = context;
    this.#bodyOf = bodyOf;
    this.#events = events;
  }

  get running(): number {
    return this.#runs.size;
  }

  get ending(): number {
    return [...this.#runs.values()].filter(({ task }) => task.done()).length;
  }

  start(): void {
    this.#events.push("start");
  }

  drain(): void {
    this.#events.push("drain");
    this.#isDraining = true;
    for (const run of this.#runs.values()) if (run.steps.size === 0) this.#stop(run, "hand back");
  }

  close(): void {
    this.#events.push("close");
  }

  cancel({ id }: CancelRequest): void {
    this.#events.push(`cancel ${id}`);
    const run = this.#runs.get(id);
    if (run !== undefined) this.#stop(run, "cancelled");
  }

  abandon(id: string): void {
    this.#events.push(`abandon ${id}`);
    const run = this.#runs.get(id);
    if (run !== undefined) this.#stop(run, "lost");
  }

  async handBackAll(): Promise<void> {
    const all = [...this.#runs.values()];
    for (const run of all) this.#stop(run, "hand back");
    await Promise.allSettled(all.map(({ task }) => task));
  }

  #stop(run: ResidentRun, why: ResidentRun["stop"]): void {
    run.stop ??= why;
    for (const step of run.steps) step.cancel(why);
    run.task.cancel(why);
  }

  async process(job: BullJob, token: string | undefined, lane?: WorkerLane): Promise<unknown> {
    const { engine, lane: name } = this.#context;
    const admission = await this.#context.admit(job, token!, lane);
    if (admission.kind === "end") return admission.result;
    const id = publicId(name, job.id!);
    const steps = new Set<Task<unknown>>();
    const body = this.#bodyOf(job.name);
    const task = createTask(() => body(this.#handle(job, id, admission.args)), { name: id });
    const run: ResidentRun = { task, token: token!, steps, stop: undefined, parksAt: undefined };
    this.#runs.set(job.id!, run);
    try {
      return encodeValue(await task);
    } catch (error) {
      await Promise.allSettled(steps);
      if (!(error instanceof CancelledError)) throw new StoredFailure(error, { final: true });
      if (run.parksAt !== undefined) {
        const until = run.parksAt;
        await untilDone(engine, () => job.moveToDelayed(until, run.token));
        throw jobLeft("parked");
      }
      if (run.stop === "lost") throw jobLeft("lost");
      if (run.stop === "hand back") {
        await untilDone(engine, () => job.moveToWait(run.token));
        throw jobLeft("handed back");
      }
      return cancelledEnvelope(error.message || undefined);
    } finally {
      // A run that was parked can be here again by now.
      if (this.#runs.get(job.id!) === run) this.#runs.delete(job.id!);
    }
  }

  #handle(job: BullJob, id: string, args: readonly unknown[]): FakeRun {
    const { steps } = this.#context;
    const own = (): ResidentRun => this.#runs.get(job.id!)!;
    let count = 0;
    return {
      context: this.#context,
      job,
      id,
      args,
      step: (definition, stepArgs, more) => {
        const run = own();
        const step = steps.run({
          definition: this.#context.tasks.get(definition.task.name)!,
          args: stepArgs,
          id: `${id}/${++count}`,
          attempt: 1,
          log: (line) => job.log(line),
          ...more,
        });
        run.steps.add(step);
        step.addDoneCallback(() => {
          run.steps.delete(step);
          if (this.#isDraining && run.steps.size === 0) this.#stop(run, "hand back");
        });
        return step;
      },
      park: async (until) => {
        own().parksAt = until;
        own().task.cancel("parked");
        return await new Future<never>();
      },
      rest: async () => await new Future<never>(),
    };
  }
}
