import { ExternalTask } from "@taskloom/loop";
import type { Engine } from "@taskloom/queue";
import { openOutcome, untilAnswered } from "@taskloom/queue/lane";
import type { Outcome } from "@taskloom/queue/lane";
import type { Json } from "@taskloom/queue/wire";
import { readViewText } from "../journal/view-text.ts";
import { outcomeOf } from "../run/inputs.ts";
import type { RunAddress } from "../operate/run-address.ts";
import { deliver, endedRun } from "./deliver.ts";
import { UpdateReplies } from "./update-replies.ts";

/** The pause between two reads of the stored answers. A reply comes at once, so the reads only find lost replies. */
const POLL_INTERVAL_MS = 1_000;

/** The update of a sender that waits for its answer. */
export interface UpdateToSend {
  /** `ADDRESS#ULID`: the owner of the run sends its answer to the address. */
  readonly id: string;
  readonly name: string;
  /** The encoded list of arguments. */
  readonly args: Json;
  /** Resolves when the engine has the job of the run. */
  readonly submitted: () => Promise<void>;
}

/**
 * Sends an update to a run, and returns the task of its answer. A cancel ends the waiting, and not the handler in the run.
 */
export function sendUpdate(engine: Engine, address: RunAddress, update: UpdateToSend): ExternalTask<unknown> {
  const asking = new AskedUpdate(engine, address, update);
  asking.start();
  return asking.task;
}

class AskedUpdate {
  readonly task: ExternalTask<unknown>;
  readonly #engine: Engine;
  readonly #address: RunAddress;
  readonly #update: UpdateToSend;
  #timer: NodeJS.Timeout | undefined;
  #isSent = false;

  constructor(engine: Engine, address: RunAddress, update: UpdateToSend) {
    this.#engine = engine;
    this.#address = address;
    this.#update = update;
    this.task = new ExternalTask<unknown>({
      name: `update ${update.name} of ${address.stored}`,
      description: `update ${update.name}`,
      requestCancel: (error) => this.#end({ error }),
      isOutside: !engine.isLocal,
    });
  }

  start(): void {
    void this.#ask().catch((error: unknown) => this.#end({ error }));
  }

  async #ask(): Promise<void> {
    const replies = UpdateReplies.of(this.#engine);
    replies.expect(this.#update.id, {
      answered: (outcome) => this.#answer(outcome),
      missed: () => void this.#sendAgain(),
    });
    await this.#update.submitted();
    await this.#engine.connect();
    await replies.listen();
    await this.#send();
    this.#pollLater();
  }

  async #send(): Promise<void> {
    const { id, name, args } = this.#update;
    await deliver(this.#engine, this.#address, ["u", id, name, args], id, () => !this.task.done());
    this.#isSent = true;
  }

  /**
   * The engine was away, and may have lost its last writes, or a reply. The journal keeps the keys of the last deliveries,
   * and the run drops an update that it handles, so sending again changes nothing otherwise.
   */
  async #sendAgain(): Promise<void> {
    if (!this.#isSent || this.task.done()) return;
    try {
      if (!(await this.#look())) await this.#send();
    } catch {
      // The next look decides.
    }
  }

  #pollLater(): void {
    if (this.task.done()) return;
    this.#timer = setTimeout(() => void this.#poll(), POLL_INTERVAL_MS);
  }

  async #poll(): Promise<void> {
    try {
      const hasEnded = await this.#hasEnded();
      // The answer is stored before the end of the run.
      if (!(await this.#look()) && hasEnded) this.#end({ error: endedRun(this.#address.stored) });
    } catch (error) {
      this.#end({ error });
    }
    this.#pollLater();
  }

  async #hasEnded(): Promise<boolean> {
    const { lane, stored } = this.#address;
    const [job] = await this.#read(() => this.#engine.lookup(lane, [stored]));
    return job?.kind !== "pending";
  }

  /** Looks for the stored answer, and returns whether it is there. */
  async #look(): Promise<boolean> {
    const { lane, stored } = this.#address;
    const [text] = await this.#read(() => this.#engine.journal.view(lane, [stored]));
    const answer = readViewText(text).a.find(([id]) => id === this.#update.id);
    if (answer === undefined) return false;
    const [, state, value] = answer;
    this.#answer(outcomeOf(state, value));
    return true;
  }

  async #read<T>(ask: () => Promise<T>): Promise<T> {
    return await untilAnswered(this.#engine, ask, () => !this.task.done());
  }

  #answer(outcome: Outcome): void {
    try {
      this.#end(openOutcome(outcome));
    } catch (error) {
      this.#end({ error }); // The answer of another version of Taskloom cannot be read.
    }
  }

  #end(end: { readonly value: unknown } | { readonly error: unknown }): void {
    clearTimeout(this.#timer);
    UpdateReplies.of(this.#engine).stop(this.#update.id);
    if ("error" in end) this.task.fail(end.error);
    else this.task.succeed(end.value);
  }
}
