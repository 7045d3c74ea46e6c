import type { Engine } from "@taskloom/queue";
import type { Outcome } from "@taskloom/queue/lane";

/** An update whose sender waits for the answer. */
export interface AwaitedUpdate {
  /** Receives the answer. It can come more than once. */
  readonly answered: (outcome: Outcome) => void;
  /** Called after messages may have been missed: the answer may be stored already. */
  readonly missed: () => void;
}

const opened = new WeakMap<Engine, UpdateReplies>();

/** The answers to the updates of this process that come over one engine. */
export class UpdateReplies {
  readonly #pending = new Map<string, AwaitedUpdate>();
  readonly #engine: Engine;
  #listening: Promise<void> | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Returns the answers over an engine. An engine has no way to stop listening, so there is one listener for all runs. */
  static of(engine: Engine): UpdateReplies {
    let replies = opened.get(engine);
    if (replies === undefined) opened.set(engine, (replies = new UpdateReplies(engine)));
    return replies;
  }

  /** Resolves when this process receives answers. */
  async listen(): Promise<void> {
    this.#listening ??= this.#engine.replies.listen(
      (message) => {
        if ("outcome" in message) this.#pending.get(message.id)?.answered(message.outcome);
      },
      () => {
        for (const update of this.#pending.values()) update.missed();
      },
    );
    try {
      await this.#listening;
    } catch (error) {
      this.#listening = undefined;
      throw error;
    }
  }

  /** Waits for the answer to an update, until `stop` is called. */
  expect(id: string, update: AwaitedUpdate): void {
    this.#pending.set(id, update);
  }

  stop(id: string): void {
    this.#pending.delete(id);
  }
}
