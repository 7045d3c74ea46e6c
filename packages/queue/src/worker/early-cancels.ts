import type { CancelRequest } from "../contract/cancellation.ts";

const KEEP_MS = 2_000;

/** The requests to cancel jobs that are not here yet: a request can arrive before its job. Each is kept for a moment. */
export class EarlyCancels {
  readonly #requests = new Map<string, CancelRequest>();

  keep(request: CancelRequest): void {
    const { id } = request;
    this.#requests.set(id, request);
    setTimeout(() => {
      if (this.#requests.get(id) === request) this.#requests.delete(id);
    }, KEEP_MS).unref();
  }

  /** Returns the latest request for a job that has arrived. */
  of(id: string): CancelRequest | undefined {
    return this.#requests.get(id);
  }
}
