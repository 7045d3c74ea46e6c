import type { ResolvedTaskOptions } from "../definition/define-task.ts";
import type { StoredSchedule } from "../contract/lane-queue.ts";
import { TaskOptionsError } from "../errors.ts";
import { otherLane } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { readSchedules } from "../operate/read-schedules.ts";
import type { JobData } from "../wire/job-data.ts";
import type { CallToJob } from "./call-to-job.ts";
import { checkEach } from "./check-arguments.ts";
import type { JobClient } from "./job-client.ts";
import type { RemoteTask } from "./remote-task.ts";
import { hasEnded, repeatOf } from "../operate/schedule-times.ts";
import type { When } from "../operate/schedule-times.ts";
import { jobOptions } from "./submission.ts";
import type { SubmitOptions } from "./submit-options.ts";

/** A task that is run again and again, by whichever worker is free at its times. */
export interface Schedule {
  readonly id: string;
  /** The task's name. */
  readonly task: string;
  readonly lane: Lane;
  readonly cron: string | undefined;
  readonly timezone: string | undefined;
  /** Milliseconds. */
  readonly every: number | undefined;
  /** Milliseconds of the epoch. */
  readonly until: number | undefined;
  /** When it runs next, in milliseconds of the epoch. */
  readonly next: number | undefined;
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
    const { queues } = this.#client;
    await queues.engine.connect();
    this.#client.noteUse();
    const { runsOn, name } = task;
    const { reply: _nobodyWaits, ...data } = this.#jobs.data(task, accepted[0] ?? [], options, undefined);
    const opts = jobOptions(task, options);
    const lane = queues.lane(runsOn);
    if (hasEnded(repeat, this.#now)) await lane.removeJobScheduler(id);
    else await lane.upsertJobScheduler(id, repeat, { name, data, opts });
    // It may have been in the other lane, when its task ran there.
    await queues.lane(otherLane(runsOn)).removeJobScheduler(id);
    const stored = await queues.lane(runsOn).getJobScheduler(id);
    return this.#schedule(runsOn, stored ?? { key: id, name, template: { data, opts } });
  }

  /** Every one, the next to run first. */
  async all(): Promise<Schedule[]> {
    const { queues } = this.#client;
    await queues.engine.connect();
    const found = await queues.both(async (queue, lane) => {
      const schedules: Schedule[] = [];
      const over: StoredSchedule[] = [];
      for await (const stored of readSchedules(queue)) {
        const ended = await this.#ended(lane, stored);
        over.push(...ended);
        for (const each of stored) if (!ended.has(each)) schedules.push(this.#schedule(lane, each));
      }
      // After the walk, whose places would shift.
      await Promise.all(over.map(({ key }) => queue.removeJobScheduler(key)));
      return schedules;
    });
    return found.flat().toSorted((a, b) => (a.next ?? Infinity) - (b.next ?? Infinity));
  }

  /** Those that have had their last run: BullMQ lets them stand, and they are removed here. */
  async #ended(lane: Lane, stored: readonly StoredSchedule[]): Promise<Set<StoredSchedule>> {
    const { queues } = this.#client;
    const last = stored.filter((each) => {
      const { next, every } = each;
      if (next == null || next > this.#now) return false;
      return hasEnded(each, every === undefined ? this.#now : next + every - 1);
    });
    if (last.length === 0) return new Set();
    const runs = await queues.look(
      lane,
      last.map(({ key, next }) => `repeat:${key}:${next}`),
    );
    return new Set(last.filter((_, index) => runs[index]?.kind !== "pending"));
  }

  /** This machine's time, or the virtual one. */
  get #now(): number {
    const { engine } = this.#client.queues;
    return engine.now() - engine.clockOffset;
  }

  #schedule(lane: Lane, stored: StoredSchedule): Schedule {
    return {
      id: stored.key,
      task: stored.name,
      lane,
      cron: stored.pattern,
      timezone: stored.tz,
      every: stored.every,
      until: stored.endDate,
      next: stored.next ?? undefined,
      run: () => this.#run(lane, stored),
      remove: () => this.#client.queues.lane(lane).removeJobScheduler(stored.key),
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
