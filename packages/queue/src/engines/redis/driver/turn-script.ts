import { bullFunction } from "./bullmq-texts.ts";
import { claimLua } from "./claim-lua.ts";
import { endsLua } from "./ends-lua.ts";
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
 * The values are, in order:
 *
 * 1. the prefix of the job's keys, the number of kept points of BullMQ's metrics or "", and the current time;
 * 2. the claim: the number of jobs, the lock's token and duration, "=" and the worker's name or "", and the maximum and the
 *    duration of the worker's own rate limit or "" twice;
 * 3. the number of kinds of ends, and for each its token, outcome, retention (count, age, limit) and number of attempts;
 * 4. for each end the number of its kind, the job's id, the time, the text, and, if the job failed, the stacktraces.
 *
 * The answer is: the numbers of the refused ends, each with its code or the text of an error; the claimed ids, each with its
 * hash before the claim; the time for which a rate limit holds; the time of the next delayed job.
 */
export const turnScript = `
local call, prefix, now = redis.call, ARGV[1], ARGV[3]
local wait, active, prioritized, events, stalled, limiter = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local delayed, paused, metaKey, counter, marker = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local targets = { completed = KEYS[12], failed = KEYS[13] }
${bullFunction("moveToFinished")}
local meta = call('HMGET', metaKey, 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents')
local isPaused, concurrency = meta[1], tonumber(meta[2] or nil)
local function textOf(err)
  return type(err) == 'table' and err.err or tostring(err)
end
${retentionLua}
${endsLua}
${claimLua}
local refusals, stored, fault = storeEnds()
local jobs, limitedFor, nextDue = {}, 0, 0
if tonumber(ARGV[4]) > 0 then
  local ok, err = pcall(function() limitedFor, nextDue = claim(jobs) end)
  if not ok then fault = fault or textOf(err) end
end
if fault and stored == 0 and #jobs == 0 then return redis.error_reply(fault) end
return { refusals, jobs, limitedFor, nextDue }
`;
