import { ReplyError } from "ioredis";
import type { Queue } from "bullmq";
import type { ClaimTerms, LaneDriver, RunEnd, TurnAnswer } from "../../../contract/lane-driver.ts";
import type { NewJob } from "../../../contract/lane-queue.ts";
import { ADD_KEYS, addScript } from "./add-script.ts";
import { bullValues } from "./bull-job.ts";
import { plainValues } from "./plain-job.ts";
import { turnParts } from "./turn-parts.ts";
import { TURN_KEYS, turnScript } from "./turn-script.ts";
import { deliveryValues, readTurn, turnValues } from "./turn-values.ts";
import type { TurnOptions } from "./turn-values.ts";
import type { ScriptConnection, ScriptValue } from "./script-connection.ts";
import { asError } from "../../../as-error.ts";

/** How many jobs one script adds. Redis does no other work meanwhile. */
const MAX_ADDED = 128;
/** How much text one script adds, in UTF-16 code units. */
const MAX_TEXT = 1_000_000;

/** How many jobs one script claims. */
const MAX_CLAIMED = 256;

/** The answer of one script to a part of a turn, without those to its ends. */
type PartAnswer = Omit<TurnAnswer, "refusals" | "delivered">;

/** The answers to the ends of a turn so far. */
interface EndAnswers {
  readonly refusals: (Error | undefined)[];
  /** Undefined as long as no end had a delivery. */
  delivered: boolean[] | undefined;
}

/** The scripts of the driver, by the names under which it runs them. */
export function driverScripts(): Readonly<Record<"taskloomAdd" | "taskloomTurn", string>> {
  return (built ??= { taskloomAdd: addScript(), taskloomTurn: turnScript() });
}

/** The scripts contain texts of BullMQ, and are built at their first use: the installed BullMQ may not have these texts. */
let built: ReturnType<typeof driverScripts> | undefined;

export interface RedisDriverOptions extends TurnOptions {
  /** A connection that has {@link driverScripts} and repeats no command. */
  readonly connection: ScriptConnection;
  /** Returns the time of claims and of new jobs, in milliseconds of the epoch. BullMQ uses the process's clock. */
  readonly now?: () => number;
  /** The terms of deliveries to durable runs. Without them, no turn delivers. */
  readonly deliveries?: RedisDeliveries;
}

/** The terms on which a turn delivers ends to durable runs. */
export interface RedisDeliveries {
  /** The name of the turn's script that delivers, at the connection. */
  readonly script: string;
  /** The start of the keys of all lanes. */
  readonly prefix: string;
  /** The start of the channels of the owners of runs. */
  readonly channel: string;
}

/**
 * The jobs of one lane on Redis, in BullMQ's own keys.
 *
 * One script adds many jobs, and one stores many ends and claims many jobs. Jobs off the common path, such as children and
 * deduplicated jobs, are handled inside these scripts by BullMQ's own code.
 */
export class RedisDriver implements LaneDriver {
  readonly #queue: Queue;
  readonly #connection: ScriptConnection;
  readonly #options: TurnOptions;
  readonly #deliveries: RedisDeliveries | undefined;
  readonly #now: () => number;
  readonly #prefix: string;
  readonly #addKeys: readonly string[];
  readonly #turnKeys: readonly string[];

  /** @param queue BullMQ's queue of the lane; its options are the defaults of the jobs. */
  constructor(
    queue: Queue,
    { connection, now = () => Date.now(), deliveries, ...options }: RedisDriverOptions,
  ) {
    this.#queue = queue;
    this.#connection = connection;
    this.#options = options;
    this.#deliveries = deliveries;
    this.#now = now;
    this.#prefix = queue.toKey("");
    this.#addKeys = ADD_KEYS.map((name) => queue.toKey(name));
    this.#turnKeys = TURN_KEYS.map((name) => queue.toKey(name));
  }

  async add(jobs: readonly NewJob[]): Promise<(string | Error)[]> {
    const answers: (string | Error)[] = [];
    const places: number[] = [];
    let part: ScriptValue[] = [];
    let size = 0;
    let wasAdded = false;
    const flush = async (): Promise<void> => {
      if (places.length === 0) return;
      const at = places.splice(0);
      const values = part;
      part = [];
      size = 0;
      try {
        const added = await this.#connection.run("taskloomAdd", this.#addKeys, [this.#prefix, ...values]);
        for (const [index, place] of at.entries()) answers[place] = this.#added(added, index, jobs[place]!);
        wasAdded = true;
      } catch (error) {
        // Jobs of an earlier script were added, so the whole addition must not fail.
        if (!wasAdded || !(error instanceof Error)) throw error;
        for (const place of at) answers[place] = error;
      }
    };
    for (const [place, job] of jobs.entries()) {
      const values = await this.#valuesOf(job);
      if (values instanceof Error) {
        answers[place] = values;
        continue;
      }
      const own = values.reduce<number>(
        (sum, value) => sum + (typeof value === "number" ? 8 : value.length),
        0,
      );
      if (places.length === MAX_ADDED || size + own > MAX_TEXT) await flush();
      places.push(place);
      part.push(...values);
      size += own;
    }
    await flush();
    return answers;
  }

  /** Returns the values of a job for the add script, or the error with which BullMQ refuses the job. */
  async #valuesOf(job: NewJob): Promise<ScriptValue[] | Error> {
    try {
      const plain = plainValues(job, this.#queue.defaultJobOptions, this.#now());
      return plain ?? (await bullValues(this.#queue, job));
    } catch (error) {
      if (error instanceof Error) return error;
      throw error;
    }
  }

  #added(answers: unknown, index: number, { opts }: NewJob): string | Error {
    const answer: unknown = Array.isArray(answers) ? answers[index] : undefined;
    if (typeof answer === "string") return answer;
    if (Array.isArray(answer)) return new ReplyError(String(answer[0]));
    const { parent } = opts;
    const parentKey = parent === undefined ? "" : `${parent.queue}:${parent.id}`;
    return this.#queue.backend.finishedErrors({ code: Number(answer), parentKey, command: "addJob" });
  }

  async turn(ends: readonly RunEnd[], claim: ClaimTerms | undefined): Promise<TurnAnswer> {
    const own: EndAnswers = { refusals: [], delivered: undefined };
    const { refusals } = own;
    const wanted = claim?.count ?? 0;
    const first = claim === undefined ? undefined : { ...claim, count: Math.min(wanted, MAX_CLAIMED) };
    const parts = turnParts(ends);
    let answer: PartAnswer = { jobs: [], limitedFor: 0, nextDue: 0 };
    for (const [at, part] of parts.entries()) {
      try {
        answer = await this.#turnPart(part, at === parts.length - 1 ? first : undefined, own);
      } catch (error) {
        // Ends of an earlier script are stored, so the whole turn must not fail.
        if (at === 0 || !(error instanceof Error)) throw error;
        while (refusals.length < ends.length) refusals.push(error);
        return { ...answer, ...own, ...(claim === undefined ? {} : { claimFailure: error }) };
      }
    }
    if (claim === undefined || wanted <= MAX_CLAIMED) return { ...answer, ...own };
    const jobs = [...answer.jobs];
    // More jobs than one script claims.
    while (jobs.length < wanted && answer.jobs.length === MAX_CLAIMED) {
      const rest = { ...claim, count: Math.min(wanted - jobs.length, MAX_CLAIMED) };
      try {
        answer = await this.#turnPart([], rest, { refusals: [], delivered: undefined });
      } catch (error) {
        return { ...answer, ...own, jobs, claimFailure: asError(error) };
      }
      jobs.push(...answer.jobs);
    }
    return { ...answer, ...own, jobs };
  }

  /** Runs a part of a turn, and adds the answers to its ends. */
  async #turnPart(
    ends: readonly RunEnd[],
    claim: ClaimTerms | undefined,
    before: EndAnswers,
  ): Promise<PartAnswer> {
    const now = this.#now();
    const values = turnValues(this.#prefix, now, ends, claim, this.#options);
    let script = "taskloomTurn";
    const deliveries = ends.some(({ delivery }) => delivery !== undefined) ? this.#deliveries : undefined;
    if (deliveries !== undefined) {
      ({ script } = deliveries);
      values.push(...deliveryValues(deliveries, ends));
    }
    const answer = readTurn(await this.#connection.run(script, this.#turnKeys, values), now, claim);
    const places = before.refusals.length;
    for (const number of answer.delivered) (before.delivered ??= [])[places + number - 1] = true;
    const own = new Map(answer.refusals);
    for (const [at, { id }] of ends.entries()) {
      const why = own.get(at + 1);
      if (typeof why === "number")
        before.refusals.push(
          this.#queue.backend.finishedErrors({
            code: why,
            jobId: id,
            command: "moveToFinished",
            state: "active",
          }),
        );
      else before.refusals.push(why === undefined ? undefined : new ReplyError(why));
    }
    const { jobs, limitedFor, nextDue, claimFault } = answer;
    const claimFailure = claimFault === undefined ? {} : { claimFailure: new ReplyError(claimFault) };
    return { jobs, limitedFor, nextDue, ...claimFailure };
  }
}
