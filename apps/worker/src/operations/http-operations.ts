import type {
  FailedPage,
  JobPage,
  JobSearch,
  JobView,
  Operations,
  QueueView,
  RetryPage,
  RetrySearch,
  ScheduleRequest,
  ScheduleView,
  SubmitRequest,
} from "./operations.ts";
import { hasEnded } from "./operations.ts";
import { askService } from "./service-address.ts";
import type { ServiceAnswer } from "./service-address.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { WorkerView } from "../workers/worker-view.ts";

/** How long one request waits for a job's end; a longer wait is several requests. */
const waitAtMost = 60;
/** How long to pause after an answer that came before its time; milliseconds. */
const askAgainAfter = 500;

/** Operations through a service's HTTP address. */
export class HttpOperations implements Operations {
  readonly #address: string;
  readonly #token: string | undefined;

  constructor(address: string, token: string | undefined) {
    this.#address = address.replace(/\/+$/, "");
    this.#token = token;
  }

  async #ask<T>(
    method: string,
    path: string,
    query: Readonly<Record<string, string | number | undefined>> = {},
    body?: unknown,
  ): Promise<T> {
    const search = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) if (value !== undefined) search.set(key, String(value));
    const headers: Record<string, string> = {};
    if (this.#token !== undefined) headers["authorization"] = `Bearer ${this.#token}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    let answer: ServiceAnswer;
    try {
      answer = await askService(this.#address, {
        method,
        path: search.size === 0 ? path : `${path}?${search.toString()}`,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch (error) {
      throw new ServiceError(
        503,
        "SERVICE_UNREACHABLE",
        `nobody answers at ${this.#address}; is the worker still running?`,
        {
          cause: error,
        },
      );
    }
    const { status, isJson, text } = answer;
    const value: unknown = isJson && text !== "" ? JSON.parse(text) : undefined;
    if (status >= 200 && status < 300) return value as T;
    const { code = "HTTP", message = `${this.#address} answered with status ${status}.` } =
      (value as { code?: string; message?: string } | undefined) ?? {};
    throw new ServiceError(status, code, message);
  }

  submit(task: string, args: readonly unknown[], request: SubmitRequest = {}): Promise<JobView> {
    return this.#ask("POST", `/tasks/${encodeURIComponent(task)}`, {}, { args, ...request });
  }

  job(id: string, queue?: string): Promise<JobView> {
    return this.#ask("GET", `/jobs/${encodeURIComponent(id)}`, { queue });
  }

  async ended(id: string, milliseconds: number, queue?: string): Promise<JobView> {
    const end = performance.now() + milliseconds;
    while (true) {
      const left = Math.max(0, (end - performance.now()) / 1_000);
      const wait = Math.min(left, waitAtMost);
      const job = await this.#ask<JobView>("GET", `/jobs/${encodeURIComponent(id)}`, { queue, wait });
      const over = (end - performance.now()) / 1_000;
      if (hasEnded(job.state) || over <= 0) return job;
      // A service that is closing answers early. Its successor, if there is one, is asked a moment later.
      if (left - over < wait / 2) await new Promise((resolve) => setTimeout(resolve, askAgainAfter));
    }
  }

  logs(id: string, from: number, queue?: string): Promise<readonly string[]> {
    return this.#ask("GET", `/jobs/${encodeURIComponent(id)}/logs`, { queue, from });
  }

  cancel(id: string, reason: string, queue?: string): Promise<JobView> {
    return this.#ask("DELETE", `/jobs/${encodeURIComponent(id)}`, {
      queue,
      reason: reason === "" ? undefined : reason,
    });
  }

  jobs(search: JobSearch): Promise<JobPage<JobView>> {
    return this.#ask("GET", "/jobs", { ...search });
  }

  queues(): Promise<Readonly<Record<string, QueueView>>> {
    return this.#ask("GET", "/queues");
  }

  pause(queue: string, isPaused: boolean): Promise<void> {
    return this.#ask("PUT", `/queues/${encodeURIComponent(queue)}`, {}, { paused: isPaused });
  }

  workers(): Promise<readonly WorkerView[]> {
    return this.#ask("GET", "/workers");
  }

  failed(queue?: string, cursor?: string): Promise<FailedPage> {
    return this.#ask("GET", "/failed", { queue, cursor });
  }

  retry(id: string, queue?: string): Promise<void> {
    return this.#ask("POST", `/jobs/${encodeURIComponent(id)}/retry`, { queue });
  }

  retryFailed({ queue, ...search }: RetrySearch): Promise<RetryPage> {
    return this.#ask("POST", "/failed/retry", { queue }, search);
  }

  schedules(queue?: string): Promise<readonly ScheduleView[]> {
    return this.#ask("GET", "/schedules", { queue });
  }

  schedule(id: string, request: ScheduleRequest): Promise<void> {
    return this.#ask("PUT", `/schedules/${encodeURIComponent(id)}`, {}, request);
  }

  unschedule(id: string, queue?: string): Promise<void> {
    return this.#ask("DELETE", `/schedules/${encodeURIComponent(id)}`, { queue });
  }

  async close(): Promise<void> {}
}
