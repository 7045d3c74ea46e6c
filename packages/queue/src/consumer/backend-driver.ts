import type { IQueueBackend, JobJson, MinimalJob } from "bullmq";
import type { ClaimTerms, ClaimedRecord, LaneTurns, RunEnd, TurnAnswer } from "../contract/lane-driver.ts";
import { asError } from "../as-error.ts";

/** The greatest number of jobs that are requested at once; each is a command for the engine. */
const MAX_REQUESTED = 16;

/** BullMQ's answer to a request for a job. */
type Claimed = readonly [record: JobJson | null, id: string, limitedFor: number, nextDue: number];

/** The turns of a lane by BullMQ's own commands, one for each end and one for each job. */
export class BackendDriver implements LaneTurns {
  readonly #backend: IQueueBackend;
  #asking = 1;

  constructor(backend: IQueueBackend) {
    this.#backend = backend;
  }

  /** Twice as many as the last time if all of those were found. */
  get claimLimit(): number {
    return this.#asking;
  }

  async turn(ends: readonly RunEnd[], claim: ClaimTerms | undefined): Promise<TurnAnswer> {
    // Sent in this order: the end of a job makes room for the next one.
    const storing = Promise.allSettled(ends.map((end) => this.#end(end)));
    const claiming = this.#claim(claim);
    const refusals = (await storing).map((end) =>
      end.status === "rejected" ? asError(end.reason) : undefined,
    );
    return { refusals, ...(await claiming) };
  }

  #end({ id, token, outcome, text, stacktrace, keep, opts }: RunEnd): Promise<unknown> {
    const job = { id, opts } as MinimalJob; // BullMQ's backends read nothing else of it.
    if (outcome === "completed")
      return this.#backend.moveToCompleted(job, JSON.parse(text), keep, token, false);
    const fields = { failedReason: text, stacktrace };
    return this.#backend.moveToFailed(job, text, keep, token, false, fields);
  }

  async #claim(claim: ClaimTerms | undefined): Promise<Omit<TurnAnswer, "refusals">> {
    if (claim === undefined) return { jobs: [], limitedFor: 0, nextDue: 0 };
    const count = Math.min(claim.count, this.#asking);
    const requests = Array.from({ length: count }, () =>
      this.#backend.moveToActive(claim.token, claim.workerName),
    );
    const jobs: ClaimedRecord[] = [];
    let [limitedFor, nextDue] = [0, 0];
    let claimFailure: Error | undefined;
    for (const request of await Promise.allSettled(requests)) {
      if (request.status === "rejected") {
        claimFailure ??= asError(request.reason);
        continue;
      }
      const [record, id, limit, due] = request.value as unknown as Claimed;
      if (record !== null && record !== undefined) jobs.push({ id, record });
      else [limitedFor, nextDue] = [Math.max(limit ?? 0, 0), Math.max(due ?? 0, 0) || 0];
    }
    this.#asking = jobs.length === count ? Math.min(count * 2, MAX_REQUESTED) : 1;
    return { jobs, limitedFor, nextDue, ...(claimFailure === undefined ? {} : { claimFailure }) };
  }
}
