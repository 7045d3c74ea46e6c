import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import type { Engine } from "@taskloom/queue";
import { LISTING_LIMITS } from "@taskloom/queue/operating";
import type { JobRecord, StoredText } from "@taskloom/queue/operating";
import { Job } from "bullmq";
import type { JobJson, Queue } from "bullmq";
import { ServiceError } from "../../errors/service-error.ts";

type Statuses = Parameters<BullMQAdapter["getJobs"]>[0];

/** The bounds of one listing: bull-board lets its reader ask for any number of jobs. */
const MAX_JOBS = 100;
const MAX_BYTES = 4 * 1_048_576;
const MAX_LOG_LINES = 1_000;
/** The key of the object that replaces a field that is large, or is not JSON. */
const STAND_IN = "(not shown by Taskloom)";

/**
 * One lane for bull-board. BullMQ reads whole jobs of any size, and fails the whole listing if one job is unreadable.
 * Here a listing is bounded, and an unreadable job is shown with its stored text.
 */
export class BoardQueue extends BullMQAdapter {
  readonly #engine: Engine;
  readonly #lane: Queue;

  constructor(engine: Engine, lane: Queue) {
    super(lane);
    this.#engine = engine;
    this.#lane = lane;
  }

  override async getJobs(
    statuses: Statuses,
    start: number = 0,
    end: number = start + MAX_JOBS - 1,
  ): Promise<Job[]> {
    const jobs: Job[] = [];
    let bytes = 0;
    for (const status of statuses) {
      const room = Math.min(end - start + 1, MAX_JOBS - jobs.length);
      if (room <= 0 || bytes >= MAX_BYTES) break;
      const ids = await this.#engine.idsIn(this.#lane.name, status, start, room, "newest");
      for (let at = 0; at < ids.length && bytes < MAX_BYTES; at += 10) {
        const some = ids.slice(at, at + 10);
        for (const record of await this.#engine.readRecords(this.#lane.name, some, LISTING_LIMITS)) {
          if (record === undefined) continue;
          for (const { text } of Object.values(record.texts)) bytes += text?.length ?? 0;
          jobs.push(this.#job(record));
        }
      }
    }
    return jobs;
  }

  /** Protects the data of a job from being overwritten with the object that replaces it in a listing. */
  override async getJob(id: string): Promise<Job | undefined> {
    const job = await super.getJob(id);
    if (job === undefined) return undefined;
    const update = job.updateData.bind(job);
    job.updateData = async (data) => {
      refuseStandIn(data);
      await update(data);
    };
    return job;
  }

  override async addJob(...args: Parameters<BullMQAdapter["addJob"]>): Promise<Job> {
    refuseStandIn(args[1]);
    return await super.addJob(...args);
  }

  override async getJobLogs(id: string): Promise<string[]> {
    return (await this.#lane.getJobLogs(id, 0, MAX_LOG_LINES - 1)).logs;
  }

  #job({ id, name, texts, ...times }: JobRecord): Job {
    const opts = valueOf(texts.opts, {});
    const stack = valueOf(texts.stacktrace, []);
    const json = {
      ...times,
      id,
      name,
      data: JSON.stringify(valueOf(texts.data, {})),
      opts: isObject(opts) ? opts : { [STAND_IN]: opts },
      progress: valueOf(texts.progress, 0),
      stacktrace: JSON.stringify(Array.isArray(stack) ? stack : [JSON.stringify(stack)]),
      ...(texts.returnvalue.bytes === 0
        ? {}
        : { returnvalue: JSON.stringify(valueOf(texts.returnvalue, null)) }),
      ...(texts.failedReason.bytes === 0
        ? {}
        : { failedReason: texts.failedReason.text ?? largeText(texts.failedReason.bytes) }),
    };
    return Job.fromJSON(this.#lane, json as unknown as JobJson, id);
  }
}

function refuseStandIn(data: unknown): void {
  if (!isObject(data) || !Object.hasOwn(data, STAND_IN)) return;
  throw new ServiceError(
    422,
    "DATA_NOT_SHOWN",
    "The listing does not show the whole data of this job, so it cannot be stored from there; open the job and edit it",
  );
}

/** Returns the value of a field, or an object with the reason why it is not shown. */
function valueOf({ text, bytes }: StoredText, absent: unknown): unknown {
  if (text === undefined) return bytes === 0 ? absent : { [STAND_IN]: largeText(bytes) };
  try {
    return JSON.parse(text);
  } catch {
    return { [STAND_IN]: `not JSON: ${text}` };
  }
}

function largeText(bytes: number): string {
  return `${bytes.toLocaleString("en-US")} bytes; open the job to see it`;
}

function isObject(value: unknown): value is Readonly<{ [key: string]: unknown }> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
