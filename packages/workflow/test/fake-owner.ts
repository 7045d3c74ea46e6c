import { Event } from "@taskloom/loop";
import type { Engine } from "@taskloom/queue";
import { cancelledEnvelope, outcomeOf, StoredFailure } from "@taskloom/queue/lane";
import type { BullJob } from "@taskloom/queue/lane";
import { decodeError } from "@taskloom/queue/wire";
import type { Json } from "@taskloom/queue/wire";
import { DelayedError } from "bullmq";
import type { WorkflowDefinition } from "@taskloom/workflow";
import { DurableRun } from "@taskloom/workflow/running";
import type { Delivery, EncodedOutcome, RunHost, StepStart, TickResult } from "@taskloom/workflow/running";

/** Returns a workflow whose submissions go to the lane of durable runs. */
export function durable<W extends WorkflowDefinition<never[], unknown>>(workflow: W): W {
  return Object.assign(workflow, { task: { ...workflow.task, runsOn: "workflow" as const } });
}

const STATES = { completed: 0, failed: 1, cancelled: 2 } as const;

/** The owner of runs in small: it opens, appends, answers and parks, and starts no step by itself. */
export class FakeOwner {
  /** Whether replies to updates are sent; without, their senders find the stored answers. */
  replies = true;
  /** The steps that were started, by the name of their task. */
  readonly steps: StepStart[] = [];
  readonly #engine: Engine;
  readonly #lane: string;
  readonly #workflows: ReadonlyMap<string, WorkflowDefinition>;
  readonly #worker: ReturnType<Engine["openWorker"]>;
  readonly #stop: () => void;
  readonly #resident = new Map<string, { readonly news: Event; parksFor: number | undefined }>();

  constructor(engine: Engine, queue: string, workflows: readonly WorkflowDefinition[]) {
    this.#engine = engine;
    this.#lane = `${queue}.workflow`;
    this.#workflows = new Map(workflows.map((each) => [each.task.name, each]));
    this.#worker = engine.openWorker(this.#lane, (job, token) => this.#own(job, token!), {
      autorun: false,
      concurrency: 100,
      lockDuration: 60_000,
      stalledInterval: 60_000,
    });
    this.#worker.on("error", () => {});
    this.#worker.on("completed", (job, result) => {
      const outcome = outcomeOf({
        failed: false,
        returnvalue: result,
        failedReason: undefined,
        stacktrace: [],
      });
      engine.replies.send(job.data.reply ?? "", { id: job.id!, outcome, attempts: 1 });
    });
    this.#stop = engine.journal.onDelivery(this.#worker.id, ({ id }) => this.#resident.get(id)?.news.set());
  }

  async start(): Promise<void> {
    await this.#worker.waitUntilReady();
    void this.#worker.run();
  }

  /** Parks a run as soon as it rests. */
  park(id: string, milliseconds = 86_400_000): void {
    const run = this.#resident.get(id);
    if (run === undefined) return;
    run.parksFor = milliseconds;
    run.news.set();
  }

  get residents(): string[] {
    return [...this.#resident.keys()];
  }

  async #own(job: BullJob, token: string): Promise<unknown> {
    const id = job.id!;
    const news = new Event();
    const resident = { news, parksFor: undefined as number | undefined };
    this.#resident.set(id, resident);
    const answers: { id: string; outcome: EncodedOutcome }[] = [];
    const kept: [string, number, Json][] = [];
    const host: RunHost = {
      startStep: (step) => void this.steps.push(step),
      submit() {},
      cancel() {},
      answer: (update, outcome) => void answers.push({ id: update, outcome }),
      log() {},
      warn() {},
    };
    const { journal } = this.#engine;
    const workflow = this.#workflows.get(job.name)!;
    const run = new DurableRun({ workflow, args: job.data.args as Json, id, host });
    const views: Record<string, Json> = {};
    try {
      const head = (await journal.open(this.#lane, id, token))!;
      const place = { epoch: head.epoch, generation: head.generation };
      let read = head.read;
      if (head.length > 0) await run.replay(head.entries);
      let result: TickResult =
        head.length > 0 ? run.live(this.#engine.now()) : await run.tick(job.timestamp, []);
      for (;;) {
        for (const [name, value] of result.views) views[name] = value;
        const entries = result.entry === null ? [] : [result.entry];
        run.release(run.length);
        for (const { id: update, outcome } of answers) {
          const value =
            outcome.state === "completed" ? outcome.value : outcome.state === "failed" ? outcome.error : null;
          kept.push([update, STATES[outcome.state], value]);
        }
        const at = run.length - entries.length;
        const view = JSON.stringify({ v: views, a: kept });
        await journal.append(this.#lane, [{ id, ...place, at, entries, consume: read, view }]);
        for (const { id: update, outcome } of answers.splice(0)) {
          if (this.replies)
            this.#engine.replies.send(update.split("#")[0]!, {
              id: update,
              outcome: outcome as never,
              attempts: 1,
            });
        }
        const { end } = result;
        if (end?.state === "completed") return end.value;
        if (end?.state === "failed") throw new StoredFailure(decodeError(end.error), { final: true });
        if (end?.state === "cancelled") return cancelledEnvelope(end.message);
        let items: string[] = [];
        while (items.length === 0) {
          news.clear();
          items = await journal.readInbox(this.#lane, id, read, 100);
          if (items.length > 0) break;
          if (resident.parksFor !== undefined) {
            const until = this.#engine.now() + resident.parksFor;
            const answer = await journal.park(this.#lane, id, { ...place, token, read, until });
            if (answer === "parked") throw new DelayedError();
          }
          await news.wait();
        }
        read += items.length;
        result = await run.tick(
          this.#engine.now(),
          items.map((item) => JSON.parse(item) as Delivery),
        );
      }
    } finally {
      this.#resident.delete(id);
      run.dispose();
    }
  }

  async close(): Promise<void> {
    this.#stop();
    await this.#worker.close(true);
  }
}
