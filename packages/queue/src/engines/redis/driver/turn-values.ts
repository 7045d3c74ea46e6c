import { raw2NextJobData } from "bullmq";
import type { RateLimiterOptions, JobJson } from "bullmq";
import { mendFields } from "./mend-fields.ts";
import type { ClaimTerms, ClaimedRecord, RunEnd } from "../../../contract/lane-driver.ts";

/** The options of BullMQ's worker that take part in a turn. */
export interface TurnOptions {
  /** The worker's own rate limit. A limit of the queue itself goes before it. */
  readonly limiter?: RateLimiterOptions | undefined;
  /** How many points of BullMQ's metrics are kept. BullMQ's own code stores all ends then. */
  readonly maxMetricsSize?: number | undefined;
}

const numberOr = (value: number | undefined): string => (value === undefined ? "" : String(value));

/** Returns the values of the turn's script for a part of a turn. */
export function turnValues(
  prefix: string,
  now: number,
  ends: readonly RunEnd[],
  claim: ClaimTerms | undefined,
  { limiter, maxMetricsSize }: TurnOptions,
): string[] {
  const kinds = new Map<string, number>();
  const kindValues: string[] = [];
  const endValues: string[] = [];
  for (const end of ends) {
    const own = kindOf(end);
    const key = own.join("\n");
    let kind = kinds.get(key);
    if (kind === undefined) {
      kinds.set(key, (kind = kinds.size + 1));
      kindValues.push(...own);
    }
    endValues.push(String(kind), end.id, String(end.finishedOn), end.text);
    if (end.outcome === "failed") endValues.push(end.stacktrace ?? "");
  }
  return [
    prefix,
    numberOr(maxMetricsSize),
    String(now),
    String(claim?.count ?? 0),
    claim?.token ?? "",
    numberOr(claim?.lockDuration),
    claim?.workerName === undefined ? "" : `=${claim.workerName}`,
    numberOr(limiter?.max),
    numberOr(limiter?.duration),
    String(kinds.size),
    ...kindValues,
    ...endValues,
  ];
}

/** Returns the values behind those of the ends, for a script that delivers. */
export function deliveryValues(
  { prefix, channel }: { readonly prefix: string; readonly channel: string },
  ends: readonly RunEnd[],
): string[] {
  const values: string[] = [];
  let count = 0;
  for (const [at, { delivery }] of ends.entries()) {
    if (delivery === undefined) continue;
    count++;
    values.push(String(at + 1), delivery.lane, delivery.id, delivery.key, delivery.item);
  }
  return [prefix, channel, ...values, String(count)];
}

/** Returns the values that ends of one worker and one task have in common. */
function kindOf({ token, outcome, keep: retention, opts }: RunEnd): string[] {
  const keep = retention === true ? { count: 0 } : retention;
  return [
    token,
    outcome,
    numberOr(keep.count),
    numberOr("age" in keep ? keep.age : undefined),
    numberOr("age" in keep ? keep.limit : undefined),
    String(opts.attempts ?? 0),
  ];
}

/** The answer of the turn's script. */
export interface ScriptTurn {
  /** The number of each refused end, which begins at 1, and the code or the text of its error. */
  readonly refusals: readonly (readonly [number, number | string])[];
  readonly jobs: readonly ClaimedRecord[];
  readonly limitedFor: number;
  readonly nextDue: number;
  /** The text of the error with which the claim failed; undefined if it did not. */
  readonly claimFault: string | undefined;
  /** The number of each end whose delivery was executed. */
  readonly delivered: readonly number[];
}

/** Reads the answer of the turn's script. */
export function readTurn(answer: unknown, now: number, claim: ClaimTerms | undefined): ScriptTurn {
  const [refusals, jobs, limitedFor, nextDue, claimFault, delivered]: unknown[] = Array.isArray(answer)
    ? answer
    : [];
  return {
    refusals: pairsOf(refusals).map(([at, why]) => [Number(at), typeof why === "number" ? why : String(why)]),
    jobs: pairsOf(jobs).map(([id, hash]) => claimedRecord(String(id), hash, now, claim?.workerName)),
    limitedFor: Number(limitedFor),
    nextDue: Number(nextDue),
    claimFault: typeof claimFault === "string" ? claimFault : undefined,
    delivered: Array.isArray(delivered) ? delivered.map(Number) : [],
  };
}

/** Returns a claimed job by BullMQ's own reading. The claim's fields follow those of the hash, and so replace them. */
function claimedRecord(
  id: string,
  hash: unknown,
  now: number,
  workerName: string | undefined,
): ClaimedRecord {
  const fields: unknown[] = Array.isArray(hash) ? hash : [];
  const starts = fields.findIndex((field, at) => at % 2 === 0 && field === "ats");
  const raw = [
    ...fields,
    "processedOn",
    String(now),
    "ats",
    String(starts < 0 ? 1 : Number(fields[starts + 1]) + 1),
  ];
  if (workerName !== undefined) raw.push("pb", workerName);
  mendFields(raw);
  const [record]: JobJson[] = raw2NextJobData([raw, id, 0, 0]);
  return { id, record: record! };
}

function pairsOf(list: unknown): [unknown, unknown][] {
  const flat: unknown[] = Array.isArray(list) ? list : [];
  return Array.from({ length: flat.length / 2 }, (_, at) => [flat[at * 2], flat[at * 2 + 1]]);
}
