import type { HistoryTick } from "@taskloom/workflow/operating";
import type { RunOperations, RunSearch, RunView, RunViewPage, UpdateAnswer } from "./run-operations.ts";

/** Sends one request to a service. */
export type ServiceRequester = <T>(
  method: string,
  path: string,
  query?: Readonly<Record<string, string | number | undefined>>,
  body?: unknown,
) => Promise<T>;

const pathOf = (id: string, ...rest: readonly string[]): string =>
  ["/runs", ...[id, ...rest].map(encodeURIComponent)].join("/");

/** Operations on durable runs through the HTTP address of a service. */
export class HttpRunOperations implements RunOperations {
  readonly #request: ServiceRequester;

  constructor(request: ServiceRequester) {
    this.#request = request;
  }

  list(search: RunSearch): Promise<RunViewPage> {
    return this.#request("GET", "/runs", { ...search });
  }

  show(id: string, queue?: string): Promise<RunView> {
    return this.#request("GET", pathOf(id), { queue });
  }

  history(id: string, from: number, queue?: string): Promise<readonly HistoryTick[]> {
    return this.#request("GET", pathOf(id, "history"), { queue, from });
  }

  log(id: string, from: number, queue?: string): Promise<readonly string[]> {
    return this.#request("GET", pathOf(id, "log"), { queue, from });
  }

  signal(id: string, name: string, payload: unknown, queue?: string, key?: string): Promise<void> {
    return this.#request("POST", pathOf(id, "signals", name), { queue }, { payload, key });
  }

  update(
    id: string,
    name: string,
    args: readonly unknown[],
    milliseconds: number,
    queue?: string,
  ): Promise<UpdateAnswer> {
    return this.#request(
      "POST",
      pathOf(id, "updates", name),
      { queue, wait: milliseconds / 1_000 },
      { args },
    );
  }

  cancel(id: string, message: string, queue?: string): Promise<void> {
    return this.#request("POST", pathOf(id, "cancel"), { queue }, { message });
  }

  terminate(id: string, message: string, queue?: string): Promise<void> {
    return this.#request("POST", pathOf(id, "terminate"), { queue }, { message });
  }
}
