import { isScheduledRun, laneOfJobId } from "./lane.ts";
import { ulid } from "./ulid.ts";

/**
 * The shard of a job follows from its id, which has one of three forms behind the lane:
 *
 * - `ULID~s3` names shard 3 itself. A new job without a name of its own has this form, whatever number of shards there is
 *   later. The jobs of one flow name the same shard.
 * - `ULID~h9c0ffee1` has the hash of a deduplication key, so the job lives on the shard of its key. The jobs of a task with
 *   limits have the hash of their task ({@link homeKey}), so one shard counts all of them.
 * - Every other id, as one that a user chose, is hashed as a whole. The run of a schedule has the hash of the schedule's id.
 *
 * The jobs and children of a durable run have the shard of the run, so that an end is delivered in the step that stores it.
 * Their ids are `RUN/3`, and those of their children `RUN/3/1`.
 *
 * An id without a lane was made by a client of BullMQ on some shard, and does not show which.
 */
export type ShardPlace =
  | { readonly kind: "named"; readonly shard: number }
  | { readonly kind: "hashed"; readonly hash: number }
  | { readonly kind: "foreign" };

const ULID_LENGTH = 26;
/** The greatest number of shards. */
export const MAX_SHARDS = 256;

/** Returns a new id, without its lane, that names a shard. */
export function idOnShard(shard: number): string {
  return `${ulid()}~s${shard}`;
}

/** Returns a new id, without its lane, for a job whose shard follows from a key. */
export function idOfKey(key: string): string {
  return `${ulid()}~h${hashOf(key).toString(16).padStart(8, "0")}`;
}

/** Returns the key whose hash chooses the home of a limited task: the shard that has all of its jobs. */
export function homeKey(lane: string, task: string): string {
  return `limits ${lane} ${task}`;
}

/** Returns the place of a job by the id under which it is stored. */
export function placeOfId(stored: string): ShardPlace {
  if (isScheduledRun(stored)) return placeOfKey(scheduleOf(stored));
  const lane = laneOfJobId(stored);
  if (lane === undefined) return { kind: "foreign" };
  const id = outsideRun(stored.slice(lane.length + 1));
  if (id.charCodeAt(ULID_LENGTH) === 126 /* ~ */) {
    const form = id.charCodeAt(ULID_LENGTH + 1);
    const rest = id.slice(ULID_LENGTH + 2);
    if (form === 115 /* s */ && /^\d{1,3}$/.test(rest) && Number(rest) < MAX_SHARDS)
      return { kind: "named", shard: Number(rest) };
    if (form === 104 /* h */ && /^[\da-f]{8}$/.test(rest))
      return { kind: "hashed", hash: parseInt(rest, 16) };
  }
  return placeOfKey(id);
}

/** Returns the place of a deduplication key or of a schedule. */
export function placeOfKey(key: string): Extract<ShardPlace, { kind: "hashed" }> {
  return { kind: "hashed", hash: hashOf(key) };
}

/**
 * Returns the id, without its lane, of the outermost durable run that a job belongs to; any other id as it is. The id of a
 * run that a schedule has made has `~` in place of each colon there.
 */
function outsideRun(id: string): string {
  if (!id.startsWith("workflow.")) return id;
  // A child of a child has the lane of each run before it.
  const run = /^(?:workflow\.)+(.*?)(?:\/\d+)+$/s.exec(id)?.[1];
  return run === undefined ? id : (/^repeat~(.*)~\d+$/s.exec(run)?.[1] ?? run);
}

/** Returns the schedule of a run, whose id is `repeat:SCHEDULE:TIME`. */
function scheduleOf(stored: string): string {
  return stored.slice("repeat:".length, stored.lastIndexOf(":"));
}

/** Returns 32 bits of a text: FNV-1a, finished as in MurmurHash3, so that texts with a common start differ in all bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return mixed(hash);
}

function mixed(bits: number): number {
  let mixing = bits;
  mixing = Math.imul(mixing ^ (mixing >>> 16), 0x85ebca6b);
  mixing = Math.imul(mixing ^ (mixing >>> 13), 0xc2b2ae35);
  return (mixing ^ (mixing >>> 16)) >>> 0;
}

/**
 * Returns the shard of a hash among `count` shards, by Lamping and Veach's jump hash (https://arxiv.org/abs/1406.2294). If the
 * number grows from N to M, the share of keys that move is 1 - N/M, all to new shards; rendezvous hashing moves as few and
 * costs a step for each shard. The random numbers are those of a 32-bit Weyl sequence, since 64-bit ones would be BigInts.
 */
export function shardOfHash(hash: number, count: number): number {
  let shard = 0;
  let state = hash;
  for (let next = 0; next < count;) {
    shard = next;
    state = (state + 0x9e3779b9) | 0;
    next = Math.floor((shard + 1) * (2 ** 32 / (mixed(state) + 1)));
  }
  return shard;
}
