import type { Activity, ActivityQuery, CleanPage, RateLimit, ServingWorker } from "@taskloom/queue/operating";
import type {
  CleanSearch,
  FailedPage,
  JobPage,
  JobSearch,
  JobView,
  LimitSearch,
  LimitsView,
  Operations,
  QueueView,
  RetryPage,
  RetrySearch,
  ScheduleRequest,
  ScheduleView,
  SubmitRequest,
} from "./operations.ts";
import type { ShardsView } from "./known-shards.ts";
import { hasEnded } from "./operations.ts";
import { HttpRunOperations } from "./http-run-operations.ts";
import { requestService } from "./service-address.ts";
import type { ServiceAnswer } from "./service-address.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { WorkerView } from "../workers/worker-view.ts";

/** The seconds for which one request waits for the end of a job. A longer wait takes several requests. */
const MAX_WAIT_SECONDS = 60;
/** The pause after an answer that came before its time. */
const EARLY_PAUSE_MS = 500;

/** The answer to an addition. */
interface Id {
  readonly id: string;
}

/** Operations through the HTTP address of a service. */
export class HttpOperations implements Operations {
  readonly runs: HttpRunOperations = new HttpRunOperations((...request) => this.#request(...request));
  readonly #address: string;
  readonly #token: string | undefined;

  constructor(address: string, token: string | undefined) {
    this.#address = address.replace(/\/+$/, "");
    this.#token = token;
  }

  async #request<T>(
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
      answer = await requestService(this.#address, {
        method,
        path: search.size === 0 ? path : `${path}?${search.toString()}`,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch (error) {
      throw new ServiceError(
        503,
        "SERVICE_UNREACHABLE",
        `No service answers at ${this.#address}; start a worker there, or correct --url`,
        {
          cause: error,
        },
      );
    }
    const { status, isJson, text } = answer;
    const value: unknown = isJson && text !== "" ? JSON.parse(text) : undefined;
    if (status >= 200 && status < 300) return value as T;
    const {
      code = "HTTP",
      message = `${this.#address} answered with status ${status}; check that it is the address of a service`,
    } = (value as { code?: string; message?: string } | undefined) ?? {};
    throw new ServiceError(status, code, message);
  }

  submit(task: string, args: readonly unknown[], request: SubmitRequest = {}): Promise<JobView> {
    return this.#request("POST", `/tasks/${encodeURIComponent(task)}`, {}, { args, ...request });
  }

  job(id: string, queue?: string): Promise<JobView> {
    return this.#request("GET", `/jobs/${encodeURIComponent(id)}`, { queue });
  }

  async waitForEnd(id: string, milliseconds: number, queue?: string): Promise<JobView> {
    const end = performance.now() + milliseconds;
    while (true) {
      const left = Math.max(0, (end - performance.now()) / 1_000);
      const wait = Math.min(left, MAX_WAIT_SECONDS);
      const job = await this.#request<JobView>("GET", `/jobs/${encodeURIComponent(id)}`, { queue, wait });
      const over = (end - performance.now()) / 1_000;
      if (hasEnded(job.state) || over <= 0) return job;
      // A service that stops answers early. Its successor may need a moment to start.
      if (left - over < wait / 2) await new Promise((resolve) => setTimeout(resolve, EARLY_PAUSE_MS));
    }
  }

  logs(id: string, from: number, queue?: string): Promise<readonly string[]> {
    return this.#request("GET", `/jobs/${encodeURIComponent(id)}/logs`, { queue, from });
  }

  cancel(id: string, reason: string, queue?: string): Promise<JobView> {
    return this.#request("DELETE", `/jobs/${encodeURIComponent(id)}`, {
      queue,
      reason: reason === "" ? undefined : reason,
    });
  }

  jobs(search: JobSearch): Promise<JobPage<JobView>> {
    return this.#request("GET", "/jobs", { ...search });
  }

  queues(): Promise<Readonly<Record<string, QueueView>>> {
    return this.#request("GET", "/queues");
  }

  pause(queue: string, isPaused: boolean): Promise<void> {
    return this.#request("PUT", `/queues/${encodeURIComponent(queue)}`, {}, { paused: isPaused });
  }

  limit(queue: string, limit: RateLimit | undefined): Promise<void> {
    const path = `/queues/${encodeURIComponent(queue)}/limit`;
    return limit === undefined ? this.#request("DELETE", path) : this.#request("PUT", path, {}, limit);
  }

  limits(search: LimitSearch): Promise<LimitsView> {
    return this.#request("GET", "/limits", { ...search });
  }

  async drain(queue: string, options: { readonly delayed: boolean }): Promise<number> {
    const path = `/queues/${encodeURIComponent(queue)}/drain`;
    return (await this.#request<{ readonly drained: number }>("POST", path, {}, options)).drained;
  }

  activity(query: ActivityQuery & { readonly queue?: string }): Promise<Activity> {
    return this.#request("GET", "/activity", { ...query });
  }

  workers(): Promise<readonly WorkerView[]> {
    return this.#request("GET", "/workers");
  }

  otherWorkers(): Promise<readonly ServingWorker[]> {
    return this.#request("GET", "/workers/others");
  }

  shards(): Promise<ShardsView> {
    return this.#request("GET", "/shards");
  }

  failed(queue?: string, cursor?: string): Promise<FailedPage> {
    return this.#request("GET", "/failed", { queue, cursor });
  }

  retry(id: string, queue?: string): Promise<void> {
    return this.#request("POST", `/jobs/${encodeURIComponent(id)}/retry`, { queue });
  }

  remove(id: string, queue?: string): Promise<void> {
    return this.#request("POST", `/jobs/${encodeURIComponent(id)}/remove`, { queue });
  }

  clean(queue: string, query: CleanSearch): Promise<CleanPage> {
    return this.#request("POST", `/queues/${encodeURIComponent(queue)}/clean`, {}, query);
  }

  promote(id: string, queue?: string): Promise<void> {
    return this.#request("POST", `/jobs/${encodeURIComponent(id)}/promote`, { queue });
  }

  retryFailed({ queue, ...search }: RetrySearch): Promise<RetryPage> {
    return this.#request("POST", "/failed/retry", { queue }, search);
  }

  schedules(queue?: string): Promise<readonly ScheduleView[]> {
    return this.#request("GET", "/schedules", { queue });
  }

  schedule(id: string, request: ScheduleRequest): Promise<void> {
    return this.#request("PUT", `/schedules/${encodeURIComponent(id)}`, {}, request);
  }

  async runNow(id: string, queue?: string): Promise<string> {
    return (await this.#request<Id>("POST", `/schedules/${encodeURIComponent(id)}/run`, { queue })).id;
  }

  pauseSchedule(id: string, isPaused: boolean, queue?: string): Promise<void> {
    const path = `/schedules/${encodeURIComponent(id)}/paused`;
    return this.#request("PUT", path, { queue }, { paused: isPaused });
  }

  unschedule(id: string, queue?: string): Promise<void> {
    return this.#request("DELETE", `/schedules/${encodeURIComponent(id)}`, { queue });
  }

  async close(): Promise<void> {}
}
