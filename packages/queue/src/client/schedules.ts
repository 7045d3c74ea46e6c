import { checkArguments } from "../definition/check-arguments.ts";
import { limitTerms } from "../definition/limits.ts";
import type { ResolvedTaskOptions } from "../definition/define-task.ts";
import type { StoredSchedule } from "../contract/lane-queue.ts";
import { TaskOptionsError } from "../errors.ts";
import type { Lane } from "../contract/lane.ts";
import {
  extraRun,
  pauseSchedule,
  putSchedule,
  readSchedules,
  removeSchedule,
  scheduleRecord,
} from "../operate/schedules.ts";
import type { PlacedSchedule, ScheduleRecord } from "../operate/schedules.ts";
import type { JobClient } from "./job-client.ts";
import type { JobFactory } from "./job-factory.ts";
import type { RemoteTask } from "./remote-task.ts";
import { repeatOf } from "../operate/schedule-times.ts";
import type { When } from "../operate/schedule-times.ts";
import { Submission, jobOptions } from "./submission.ts";
import type { SubmitOptions } from "./submit-options.ts";

/** A task that runs again and again, at the times of a cron pattern or at an interval, on any worker that is free. */
export interface Schedule extends ScheduleRecord {
  /** Runs the task once now, in addition to its times. */
  run(): RemoteTask<unknown>;
  /** Pauses the schedule: it makes no jobs by itself until {@link resume}, even if a program stores it again. */
  pause(): Promise<void>;
  /** Lets a paused schedule go on. An interval begins anew, with a run at once. */
  resume(): Promise<void>;
  /** Ends the schedule. A running job continues. Resolves with false if the schedule had ended already. */
  remove(): Promise<boolean>;
}

/** The schedules of one queue. Each is in the lane of its task. */
export class Schedules {
  readonly #client: JobClient;
  readonly #jobs: JobFactory;

  constructor(client: JobClient, jobs: JobFactory) {
    this.#client = client;
    this.#jobs = jobs;
  }

  /** Stores a schedule, in place of any other of the id. */
  async put(
    id: string,
    when: When,
    task: ResolvedTaskOptions,
    args: readonly unknown[],
    options: SubmitOptions,
  ): Promise<Schedule> {
    for (const option of ["id", "deduplicate", "delay", "deadline", "signal"] as const) {
      if (options[option] !== undefined)
        throw new TaskOptionsError(
          `Expected a schedule to have no \`${option}\`, since it makes jobs of its own at its own times`,
        );
    }
    const repeat = repeatOf(id, when);
    const checked = await checkArguments(task, args);
    limitTerms(task, checked, options.limitKey);
    this.#client.recordUse();
    const { runsOn, name } = task;
    this.#jobs.refuseElsewhere(task, "a job of a schedule");
    const { reply: _nobodyWaits, ...data } = this.#jobs.data(task, checked, options, undefined);
    const template = { name, data, opts: jobOptions(task, options) };
    return this.#schedule(await putSchedule(this.#client.queues, runsOn, id, repeat, template));
  }

  /** Reads every schedule. The one that runs next comes first. */
  async all(): Promise<Schedule[]> {
    return (await readSchedules(this.#client.queues)).map((placed) => this.#schedule(placed));
  }

  #schedule(placed: PlacedSchedule): Schedule {
    const { lane, stored } = placed;
    return {
      ...scheduleRecord(placed),
      run: () => this.#run(lane, stored),
      pause: () => pauseSchedule(this.#client.queues, stored.key, true),
      resume: () => pauseSchedule(this.#client.queues, stored.key, false),
      remove: () => removeSchedule(this.#client.queues, stored.key, [lane]),
    };
  }

  #run(lane: Lane, stored: StoredSchedule): RemoteTask<unknown> {
    const { name, data: plain, opts: options } = extraRun(stored);
    const remote = this.#jobs.newTask<unknown>({ runsOn: lane, name }, {});
    const data = { ...plain, reply: this.#client.queues.engine.replies.address };
    this.#client.submit(new Submission(remote, { lane, name, data, options, mayExist: false }));
    return remote;
  }
}
