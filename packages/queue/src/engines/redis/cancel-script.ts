import { CANCEL_FLAG } from "../../contract/cancellation.ts";

/**
 * One atomic look at a job that somebody wants cancelled, and the mark that goes with what was found.
 *
 * - no record: `gone`; finished: `done`.
 * - locked and sealed by that very run, whose end is on its way: `sealed`, and nothing is marked.
 * - locked, so it runs: the flag is set, and the worker that holds the lock is told which run to stop. The lock's value
 *   is `<worker id>:<n>`, and BullMQ uses tokens again, so the count of starts is part of the run's name.
 * - not running: the job is flagged and moved to `active` under the canceller's own short lock, so that no worker can
 *   take it; the canceller then ends it with BullMQ's own `moveToCompleted`, which keeps flows, deduplication and
 *   events right (a hand-made removal left parents waiting for ever). If the canceller dies, the lock lapses, stalled
 *   recovery takes over, and the flag ends the job at its next start.
 * - in a state that cannot be claimed (waiting for children, made by a scheduler): the flag only.
 */
export const cancelScript: string = `
local job, lockKey, wait, paused, prioritized, delayed, active, stalled = unpack(KEYS)
local id, flag, token, lockMs, channel, reason = unpack(ARGV)
if redis.call('EXISTS', job) == 0 then return { 'gone' } end
local state = redis.call('HMGET', job, 'finishedOn', 'ats', 'rjk', 'processedOn')
if state[1] then return { 'done' } end
local lock = redis.call('GET', lockKey)
if lock and redis.call('HGET', job, 'defa') == 'tl:seal:' .. lock .. '#' .. (state[2] or '0') then
  return { 'sealed' }
end
redis.call('HSET', job, 'defa', flag)
if lock then
  local worker = string.match(lock, '^(.*):%d+$') or lock
  local run = cjson.encode({ id = id, token = lock, attemptsStarted = tonumber(state[2] or '0'),
    startedAt = tonumber(state[4] or '0'), reason = reason })
  redis.call('PUBLISH', channel .. worker, run)
  return { 'running' }
end
if state[3] then return { 'running' } end
local claimed = redis.call('LREM', wait, 1, id) + redis.call('LREM', paused, 1, id)
  + redis.call('ZREM', prioritized, id) + redis.call('ZREM', delayed, id)
if claimed > 0 then
  redis.call('LPUSH', active, id)
elseif not redis.call('LPOS', active, id) then
  return { 'running' }
end
redis.call('SET', lockKey, token, 'PX', lockMs)
redis.call('SREM', stalled, id)
return { 'claimed' }
`;

/** The other side of it, for strict tasks: a run seals itself before its end is stored, unless a cancel was first. */
export const sealScript: string = `
local job, lockKey = unpack(KEYS)
local token, seal = unpack(ARGV)
if redis.call('GET', lockKey) ~= token then return { 'lost' } end
local flag = redis.call('HGET', job, 'defa')
if flag and string.sub(flag, 1, 6) == '${CANCEL_FLAG}' then return { 'cancelled', string.sub(flag, 7) } end
redis.call('HSET', job, 'defa', seal)
return { 'sealed' }
`;
