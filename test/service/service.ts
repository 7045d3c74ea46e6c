import { fileURLToPath } from "node:url";
import { TaskloomProcess } from "../support/taskloom-process.ts";

/** The module with the tasks of the services in these tests. */
export const tasksModule: string = fileURLToPath(new URL("./fixtures/tasks.ts", import.meta.url));

/** A `taskloom worker` in a process of its own, with its HTTP address. */
export class Service {
  readonly process: TaskloomProcess;
  readonly address: string;

  private constructor(process: TaskloomProcess, address: string) {
    this.process = process;
    this.address = address;
  }

  /** Starts a service on a free port, and waits until it takes jobs. */
  static async start(
    engine: string,
    args: readonly string[] = [],
    env: NodeJS.ProcessEnv = {},
  ): Promise<Service> {
    const process = new TaskloomProcess(
      ["worker", tasksModule, "--engine", engine, "--port", "0", "--threads", "1", ...args],
      { env },
    );
    const [, address] = await process.printed(/"event":"ready".*"http":"([^"]+)"/);
    return new Service(process, address!);
  }

  /** Sends a request; a body is sent as JSON. */
  async ask(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    return await fetch(`${this.address}${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
  }

  /** Submits a call, and returns the job from the service's answer. */
  async submit(task: string, ...args: unknown[]): Promise<Job> {
    return (await (await this.ask("POST", `/tasks/${task}`, { args })).json()) as Job;
  }

  async job(id: string, wait?: number): Promise<Job> {
    const query = wait === undefined ? "" : `?wait=${wait}`;
    return (await (await this.ask("GET", `/jobs/${id}${query}`)).json()) as Job;
  }

  async stop(): Promise<void> {
    this.process.child.kill("SIGTERM");
    await this.process.ended;
  }
}

/** A job in the API. */
export interface Job {
  readonly id: string;
  readonly state: string;
  readonly value?: unknown;
  readonly attempts: number;
  readonly error?: { readonly name: string; readonly message: string };
  readonly reason?: string;
}
