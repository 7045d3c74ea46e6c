import { asError } from "../../../as-error.ts";

interface Waiting<Call, Answer> {
  readonly call: Call;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

/** The greatest number of calls in one statement. A longer statement would hold its rows too long. */
const MAX_CALLS = 200;

/**
 * Calls on one lane that travel together: one statement at a time, which carries the calls that have come since the one
 * before it left. A lone call leaves in the same turn of the event loop.
 *
 * @remarks
 * PostgreSQL lets only one transaction commit at a time if it has notified a channel, and each commit waits for the disk. A
 * hundred runs that park with one commit each therefore waited for a hundred flushes, one after the other.
 */
export class GatheredCalls<Call, Answer> {
  readonly #send: (calls: readonly Call[]) => Promise<readonly Answer[]>;
  #waiting: Waiting<Call, Answer>[] = [];
  #isSending = false;

  /** @param send executes calls in one statement, and resolves with an answer for each of them. */
  constructor(send: (calls: readonly Call[]) => Promise<readonly Answer[]>) {
    this.#send = send;
  }

  /** @throws the error of the statement, with which all its calls fail. */
  call(call: Call): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ call, resolve, reject });
      if (!this.#isSending) {
        this.#isSending = true;
        process.nextTick(() => void this.#sendAll());
      }
    });
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const sent = this.#waiting.splice(0, MAX_CALLS);
      try {
        const answers = await this.#send(sent.map(({ call }) => call));
        for (const [at, { resolve }] of sent.entries()) resolve(answers[at]!);
      } catch (error) {
        for (const { reject } of sent) reject(asError(error));
      }
    }
    this.#isSending = false;
  }
}
