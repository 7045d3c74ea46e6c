import { currentDeadline, getEventLoop } from "@taskloom/loop";
import { capturePropagated } from "@taskloom/offload/context";
import type { ResolvedTaskOptions } from "../definition/define-task.ts";
import type { Engine } from "../contract/engine.ts";
import { jobId } from "../contract/lane.ts";
import { ownKeep } from "../contract/retention.ts";
import { encodeValue } from "../wire/encode.ts";
import { encodeArguments } from "../wire/job-data.ts";
import type { JobData } from "../wire/job-data.ts";
import type { JobClient } from "./job-client.ts";
import { RemoteTask } from "./remote-task.ts";
import { jobOptions } from "./submission.ts";
import type { Submission } from "./submission.ts";
import type { SubmitOptions } from "./submit-options.ts";
import { ulid } from "./ulid.ts";

/** What of the place where a call is submitted goes with it: the time that is left there, and its context. */
export interface Surroundings {
  /** Milliseconds of this machine's clock after which the result is of no use. */
  readonly end: number | undefined;
  readonly context: unknown;
}

/** How a call of a task becomes a job: its id, its data, and the RemoteTask that waits for it. */
export class CallToJob {
  readonly #engine: Engine;
  readonly #client: JobClient;

  constructor(engine: Engine, client: JobClient) {
    this.#engine = engine;
    this.#client = client;
  }

  /** What surrounds the caller now; its nearest `timeout()` scope and the submission's own deadline, whichever is first. */
  surroundings({ deadline: own = Infinity }: SubmitOptions): Surroundings {
    const scope = currentDeadline();
    const left = Math.min(own, scope === undefined ? Infinity : Math.max(0, scope - getEventLoop().time()));
    const { clockOffset } = this.#engine;
    return {
      end: left === Infinity ? undefined : this.#engine.now() - clockOffset + left,
      context: capturePropagated(),
    };
  }

  /** A task for a job of this id. */
  remote<R>(id: string, taskName: string): RemoteTask<R> {
    return new RemoteTask<R>(id, taskName, this.#client, this.#engine.isLocal);
  }

  /** A task for a job that is new, or that the user has named. */
  remoteFor<R>(
    { runsOn, name }: Pick<ResolvedTaskOptions, "runsOn" | "name">,
    { id = ulid() }: SubmitOptions,
  ): RemoteTask<R> {
    return this.remote<R>(jobId(runsOn, id), name);
  }

  /** What is stored with a job; its deadline is added when it is sent. */
  data(
    task: ResolvedTaskOptions,
    args: readonly unknown[],
    options: SubmitOptions,
    context: unknown,
  ): JobData {
    const timeout = options.timeout ?? task.timeout;
    return {
      v: 1,
      version: task.version,
      args: encodeArguments(args),
      reply: this.#engine.replies.address,
      ...(timeout === undefined ? {} : { timeout }),
      ...ownKeep(options.keep),
      ...(context === undefined ? {} : { context: encodeValue(context) }),
    };
  }

  submission(
    remote: RemoteTask<unknown>,
    task: ResolvedTaskOptions,
    args: readonly unknown[],
    options: SubmitOptions,
    { end, context }: Surroundings,
    more?: Pick<JobData, "pack" | "flow">,
  ): Submission {
    const plain = this.data(task, args, options, context);
    const data = more === undefined ? plain : { ...plain, ...more };
    return {
      lane: task.runsOn,
      id: remote.id,
      name: task.name,
      data,
      options: jobOptions(task, options),
      tasks: [remote],
      mayExist: options.id !== undefined,
      end,
      addedAt: undefined,
    };
  }

  /** Ends it here too when its own deadline passes, wherever it is then. */
  expire(remote: RemoteTask<unknown>, { deadline }: SubmitOptions): void {
    if (deadline === undefined) return;
    const timer = getEventLoop().callLater(deadline, () => this.#client.expire(remote.id, deadline));
    remote.addDoneCallback(() => timer.cancel());
  }
}
