import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import type { Engine } from "@taskloom/queue";
import { shownAtMost } from "@taskloom/queue/operating";
import type { JobRecord, StoredText } from "@taskloom/queue/operating";
import { Job } from "bullmq";
import type { JobJson, Queue } from "bullmq";
import { ServiceError } from "../../errors/service-error.ts";

type Statuses = Parameters<BullMQAdapter["getJobs"]>[0];

/** So many jobs, and about so many bytes of them, one listing shows: bull-board lets its reader ask for any number. */
const jobsAtMost = 100;
const bytesAtMost = 4 * 1_048_576;
const logLinesAtMost = 1_000;
/** The key of what stands in place of a field that is large, or is no JSON. */
const standIn = "(not shown by Taskloom)";

/**
 * One lane as bull-board sees it. BullMQ reads jobs whole, however large they are, and throws for the whole listing when
 * it cannot read one of them; here a listing is bounded, and an unreadable job is shown as it is.
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
    end: number = start + jobsAtMost - 1,
  ): Promise<Job[]> {
    const jobs: Job[] = [];
    let bytes = 0;
    for (const status of statuses) {
      const room = Math.min(end - start + 1, jobsAtMost - jobs.length);
      if (room <= 0 || bytes >= bytesAtMost) break;
      const ids = await this.#engine.idsIn(this.#lane.name, status, start, room, "newest");
      for (let at = 0; at < ids.length && bytes < bytesAtMost; at += 10) {
        const some = ids.slice(at, at + 10);
        for (const record of await this.#engine.readRecords(this.#lane.name, some, shownAtMost)) {
          if (record === undefined) continue;
          for (const { text } of Object.values(record.texts)) bytes += text?.length ?? 0;
          jobs.push(this.#job(record));
        }
      }
    }
    return jobs;
  }

  /** The text that is shown in place of a job's data must not become its data. */
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
    return (await this.#lane.getJobLogs(id, 0, logLinesAtMost - 1)).logs;
  }

  #job({ id, name, texts, ...times }: JobRecord): Job {
    const opts = valueOf(texts.opts, {});
    const stack = valueOf(texts.stacktrace, []);
    const json = {
      ...times,
      id,
      name,
      data: JSON.stringify(valueOf(texts.data, {})),
      opts: isObject(opts) ? opts : { [standIn]: opts },
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
  if (!isObject(data) || !Object.hasOwn(data, standIn)) return;
  throw new ServiceError(
    422,
    "DATA_NOT_SHOWN",
    "the listing does not show the whole data of this job, and what stands in its place cannot be stored; open the job and edit it there.",
  );
}

/** The value of a field, or an object that says why it is not shown. */
function valueOf({ text, bytes }: StoredText, absent: unknown): unknown {
  if (text === undefined) return bytes === 0 ? absent : { [standIn]: largeText(bytes) };
  try {
    return JSON.parse(text);
  } catch {
    return { [standIn]: `not JSON: ${text}` };
  }
}

function largeText(bytes: number): string {
  return `${bytes.toLocaleString("en-US")} bytes; open the job to see it`;
}

function isObject(value: unknown): value is Readonly<{ [key: string]: unknown }> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
