import type { ResolvedTaskOptions } from "../definition/define-task.ts";
import type { StoredSchedule } from "../contract/lane-queue.ts";
import { TaskOptionsError } from "../errors.ts";
import type { Lane } from "../contract/lane.ts";
import { putSchedule, readSchedules, removeSchedule, scheduleRecord } from "../operate/schedules.ts";
import type { PlacedSchedule, ScheduleRecord } from "../operate/schedules.ts";
import type { JobData } from "../wire/job-data.ts";
import type { CallToJob } from "./call-to-job.ts";
import { checkEach } from "./check-arguments.ts";
import type { JobClient } from "./job-client.ts";
import type { RemoteTask } from "./remote-task.ts";
import { repeatOf } from "../operate/schedule-times.ts";
import type { When } from "../operate/schedule-times.ts";
import { jobOptions } from "./submission.ts";
import type { SubmitOptions } from "./submit-options.ts";

/** A task that is run again and again, by whichever worker is free at its times. */
export interface Schedule extends ScheduleRecord {
  /** Runs it once, now, beside its times. */
  run(): RemoteTask<unknown>;
  /** Ends it. What runs goes on. False when it had ended already. */
  remove(): Promise<boolean>;
}

/** The schedules of one queue. Each is in the lane of its task. */
export class Schedules {
  readonly #client: JobClient;
  readonly #jobs: CallToJob;

  constructor(client: JobClient, jobs: CallToJob) {
    this.#client = client;
    this.#jobs = jobs;
  }

  async put(
    id: string,
    when: When,
    task: ResolvedTaskOptions,
    args: readonly unknown[],
    options: SubmitOptions,
  ): Promise<Schedule> {
    for (const option of ["id", "deduplicate", "delay", "deadline"] as const) {
      if (options[option] !== undefined)
        throw new TaskOptionsError(
          `A schedule takes no \`${option}\`: it makes jobs of its own, at its own times.`,
        );
    }
    const repeat = repeatOf(id, when);
    const { accepted, refused } = await checkEach(task, [args]);
    for (const error of refused.values()) throw error;
    this.#client.noteUse();
    const { runsOn, name } = task;
    const { reply: _nobodyWaits, ...data } = this.#jobs.data(task, accepted[0] ?? [], options, undefined);
    const template = { name, data, opts: jobOptions(task, options) };
    return this.#schedule(await putSchedule(this.#client.queues, runsOn, id, repeat, template));
  }

  /** Every one, the next to run first. */
  async all(): Promise<Schedule[]> {
    return (await readSchedules(this.#client.queues)).map((placed) => this.#schedule(placed));
  }

  #schedule(placed: PlacedSchedule): Schedule {
    const { lane, stored } = placed;
    return {
      ...scheduleRecord(placed),
      run: () => this.#run(lane, stored),
      remove: () => removeSchedule(this.#client.queues, stored.key, [lane]),
    };
  }

  #run(lane: Lane, { name, template }: StoredSchedule): RemoteTask<unknown> {
    const remote = this.#jobs.remoteFor<unknown>({ runsOn: lane, name }, {});
    const empty: JobData = { v: 1, version: 1, args: [] };
    const data = { ...empty, ...template?.data, reply: this.#client.queues.engine.replies.address };
    const { attempts, backoff, priority } = template?.opts ?? {};
    const options = Object.fromEntries(
      Object.entries({ attempts, backoff, priority }).filter(([, value]) => value !== undefined),
    );
    const { id } = remote;
    const tasks = [remote];
    this.#client.submit({
      lane,
      id,
      name,
      data,
      options,
      tasks,
      mayExist: false,
      end: undefined,
      addedAt: undefined,
    });
    return remote;
  }
}
