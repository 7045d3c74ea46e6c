import { currentDeadline, getEventLoop } from "@taskloom/loop";
import { capturePropagated } from "@taskloom/offload/context";
import type { Propagated } from "@taskloom/offload/context";
import type { ResolvedTaskOptions } from "../definition/define-task.ts";
import type { Engine } from "../contract/engine.ts";
import { jobId } from "../contract/lane.ts";
import { ownKeep } from "../contract/retention.ts";
import { firstCall, limitTerms } from "../definition/limits.ts";
import { encodeValue } from "../wire/encode.ts";
import { encodeArguments } from "../wire/job-data.ts";
import type { JobData } from "../wire/job-data.ts";
import { RemoteTask } from "./remote-task.ts";
import type { RemoteTaskControl } from "./remote-task.ts";
import { Submission, jobOptions } from "./submission.ts";
import type { SubmitOptions } from "./submit-options.ts";
import { ulid } from "../contract/ulid.ts";

/** The part of a submission that comes from the place of the call: the remaining time, and the propagated stores. */
export interface SubmissionContext {
  /** The time after which the result is of no use, in milliseconds of this machine's clock. */
  readonly deadlineAt: number | undefined;
  readonly stores: Propagated | undefined;
}

/** Makes the job of a call: its id, its data, and the RemoteTask that waits for it. */
export class JobFactory {
  readonly #engine: Engine;
  readonly #control: RemoteTaskControl;

  /** @param control serves the requests of the RemoteTasks. */
  constructor(engine: Engine, control: RemoteTaskControl) {
    this.#engine = engine;
    this.#control = control;
  }

  /**
   * Captures the context of the caller. The deadline is that of the nearest `timeout()` scope or that of the submission,
   * whichever is earlier.
   */
  captureContext({ deadline = Infinity }: SubmitOptions): SubmissionContext {
    const scope = currentDeadline();
    const left = Math.min(
      deadline,
      scope === undefined ? Infinity : Math.max(0, scope - getEventLoop().time()),
    );
    const { clockOffset } = this.#engine;
    return {
      deadlineAt: left === Infinity ? undefined : this.#engine.now() - clockOffset + left,
      stores: capturePropagated(),
    };
  }

  /** Returns a task for the job of this id. */
  taskOf<R, P = unknown>(id: string, taskName: string): RemoteTask<R, P> {
    return new RemoteTask<R, P>(id, taskName, this.#control, this.#engine.isLocal);
  }

  /**
   * Returns a task for a job that is new, or has the id that the user chose.
   *
   * @param beside the id of another job of the same flow, if there is one.
   */
  newTask<R, P = unknown>(
    {
      runsOn,
      name,
      limits,
    }: Pick<ResolvedTaskOptions, "runsOn" | "name"> & Partial<Pick<ResolvedTaskOptions, "limits">>,
    { id, deduplicate }: Pick<SubmitOptions, "id" | "deduplicate">,
    beside?: string,
  ): RemoteTask<R, P> {
    const key = typeof deduplicate === "object" ? deduplicate.key : deduplicate;
    const limited = limits === undefined ? undefined : { lane: runsOn, task: name };
    const chosen = id ?? this.#engine.newJobId?.({ key, limited, beside }) ?? ulid();
    return this.taskOf<R, P>(jobId(runsOn, chosen), name);
  }

  /**
   * Throws for a job of a limited task whose shard does not follow from its task.
   *
   * @param origin the rule that decides its place, as `a job of a flow`.
   * @throws {@link EngineUnsupportedError} on an engine with shards.
   */
  refuseElsewhere({ name, limits }: ResolvedTaskOptions, origin: string): void {
    if (limits !== undefined) this.#engine.limits.refuse?.(name, origin);
  }

  /** Returns the data of a job, without its deadline, which is set when the job is sent. */
  data(
    task: ResolvedTaskOptions,
    args: readonly unknown[],
    options: SubmitOptions,
    stores: Propagated | undefined,
  ): JobData {
    const timeout = options.timeout ?? task.timeout;
    return {
      v: 1,
      version: task.version,
      args: encodeArguments(args),
      reply: this.#engine.replies.address,
      ...(timeout === undefined ? {} : { timeout }),
      ...ownKeep(options.keep),
      ...(options.tags === undefined || options.tags.length === 0 ? {} : { tags: options.tags }),
      ...(options.limitKey === undefined ? {} : { limitKey: options.limitKey }),
      ...(stores === undefined ? {} : { context: encodeValue(stores) }),
    };
  }

  /**
   * Returns the submission of a call whose arguments were checked; `more` belongs to a pack or a flow.
   *
   * @throws {@link EngineUnsupportedError} on an engine with shards, for a limited task with `id` or `deduplicate`.
   */
  submission(
    remote: RemoteTask<unknown>,
    task: ResolvedTaskOptions,
    args: readonly unknown[],
    options: SubmitOptions,
    { deadlineAt, stores }: SubmissionContext,
    more?: Pick<JobData, "pack" | "flow">,
    children?: readonly RemoteTask<unknown>[],
  ): Submission {
    if (options.id !== undefined) this.refuseElsewhere(task, "a job with `id`");
    if (options.deduplicate !== undefined) this.refuseElsewhere(task, "a job with `deduplicate`");
    const plain = this.data(task, args, options, stores);
    return new Submission(remote, {
      limits: joinedLimits(task, args, options, more),
      lane: task.runsOn,
      name: task.name,
      data: more === undefined ? plain : { ...plain, ...more },
      options: jobOptions(task, options),
      mayExist: options.id !== undefined,
      deadlineAt,
      children,
    });
  }
}

/**
 * Returns the names of the limits whose lines a job enters before it is added. A job that is delayed, or may be folded into
 * another one, would delay the jobs behind it in vain, and one with a priority may go before others. Such a job enters a line
 * when it asks for a slot.
 */
function joinedLimits(
  task: ResolvedTaskOptions,
  args: readonly unknown[],
  { limitKey, delay, deduplicate, priority }: SubmitOptions,
  more: Pick<JobData, "pack" | "flow"> | undefined,
): readonly string[] | undefined {
  if (task.limits === undefined && limitKey === undefined) return undefined;
  const names = limitTerms(task, more?.pack === true ? firstCall(args) : args, limitKey).map(
    ({ name }) => name,
  );
  const isLater =
    delay !== undefined || deduplicate !== undefined || priority !== undefined || more?.flow !== undefined;
  return isLater ? undefined : names;
}
