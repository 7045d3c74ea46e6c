import { claimLua } from "./claim-lua.ts";
import { endsLua } from "./ends-lua.ts";
import { rareLua } from "./rare-lua.ts";
import { retentionLua } from "./retention-lua.ts";

/** The keys of the turn's script, by their names in a queue, in order. */
export const TURN_KEYS = [
  "wait",
  "active",
  "prioritized",
  "events",
  "stalled",
  "limiter",
  "delayed",
  "paused",
  "meta",
  "pc",
  "marker",
  "completed",
  "failed",
] as const;

/**
 * The script of a turn: it stores ends in their order, and then claims jobs.
 *
 * Its result equals BullMQ's `moveToFinished` without a next job for each end, and then `moveToActive` until there are
 * enough jobs. It costs a third, because the ends and the claims of a turn share their reads, their removals and their
 * pushes. Only commands that write to one job's own keys, or to the event stream, are executed once per job.
 *
 * An error in an end is the answer to that end, and an error in the claim does not hide the ends that are stored. The script
 * fails as a whole only if nothing was stored and nothing was claimed.
 *
 * The script consists of functions in one table, which take the table, and have no upvalues. Making a closure costs Redis
 * up to a microsecond for each upvalue, and a script is run anew for each turn; with upvalues, a turn of one job took three
 * times as long.
 *
 * The values are, in order:
 *
 * 1. the prefix of the job's keys, the number of kept points of BullMQ's metrics or "", and the current time;
 * 2. the claim: the number of jobs, the lock's token and duration, "=" and the worker's name or "", and the maximum and the
 *    duration of the worker's own rate limit or "" twice;
 * 3. the number of kinds of ends, and for each its token, outcome, retention (count, age, limit) and number of attempts;
 * 4. for each end the number of its kind, the job's id, the time, the text, and, if the job failed, the stacktraces;
 * 5. the deliveries of the ends, as `deliveriesLua` describes, if the script delivers.
 *
 * The answer is: the numbers of the refused ends, each with its code or the text of an error; the claimed ids, each with its
 * hash before the claim; the time for which a rate limit holds; the time of the next delayed job; the text of an error of
 * the claim, if it failed; and the numbers of the ends whose deliveries were executed, if the script delivers.
 *
 * @param deliveries the part of the script that delivers ends to durable runs; none by default.
 */
export const turnScript = (deliveries?: string): string => `
local t = {
  prefix = ARGV[1], now = ARGV[3], wait = KEYS[1], active = KEYS[2], prioritized = KEYS[3], events = KEYS[4],
  stalled = KEYS[5], limiter = KEYS[6], delayed = KEYS[7], paused = KEYS[8], metaKey = KEYS[9], counter = KEYS[10],
  marker = KEYS[11], completed = KEYS[12], failed = KEYS[13],
  meta = redis.call('HMGET', KEYS[9], 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents'),
  kinds = {}, run = {}, refusals = {}, stored = 0, fault = false, claimFault = false, jobs = {}, limitedFor = 0, nextDue = 0,
  last = ${deliveries === undefined ? "#ARGV" : "#ARGV - 3 - 5 * ARGV[#ARGV], delivered = {}"},
}
${rareLua()}
if ARGV[10] ~= '0' then
${retentionLua}
${endsLua}
  t.storeEnds(t, tonumber(ARGV[10]))
${deliveries ?? ""}end
if ARGV[4] ~= '0' then
${claimLua}
  local ok, err = pcall(t.claim, t, tonumber(ARGV[4]))
  if not ok then
    t.loadRare(t)
    t.claimFault = t.textOf(err)
  end
end
local fault = t.fault or t.claimFault
if fault and t.stored == 0 and #t.jobs == 0 then return redis.error_reply(fault) end
return { t.refusals, t.jobs, t.limitedFor, t.nextDue, t.claimFault${deliveries === undefined ? "" : ", t.delivered"} }
`;
