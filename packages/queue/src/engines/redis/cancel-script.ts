import { CANCEL_FLAG, SEAL_FLAG } from "../../contract/cancellation.ts";

/**
 * The cancel protocol: one atomic step that reads the state of a job and marks the job accordingly. The other engines
 * implement the same protocol.
 *
 * - The job has no record: `gone`. The job has ended: `done`.
 * - The job is locked, and its run has sealed itself because its end is being stored: `sealed`. Nothing is marked.
 * - The job is locked, so it runs: the flag is set, and the worker that holds the lock receives the name of the run. The
 *   lock's value is `<worker id>:<n>`. Taskloom's workers use a token once, but BullMQ's own workers use tokens again, so
 *   the count of starts is a part of the run's name.
 * - The job does not run: it is flagged and moved to `active` under a short lock of the canceller, so that no worker can
 *   take it. The canceller then ends it with BullMQ's own `moveToCompleted`, which handles flows, deduplication and events
 *   (a removal by hand left parents waiting for ever). If the canceller dies, its lock lapses, the job is recovered, and
 *   the flag ends the job at its next start.
 * - The job cannot be claimed, because it waits for children or was made by a schedule: only the flag is set.
 */
export const cancelScript: string = `
local job, lockKey, wait, paused, prioritized, delayed, active, stalled = unpack(KEYS)
local id, flag, token, lockMs, channel, reason = unpack(ARGV)
if redis.call('EXISTS', job) == 0 then return { 'gone' } end
local state = redis.call('HMGET', job, 'finishedOn', 'ats', 'rjk', 'processedOn')
if state[1] then return { 'done' } end
local lock = redis.call('GET', lockKey)
if lock and redis.call('HGET', job, 'defa') == '${SEAL_FLAG}' .. lock .. '#' .. (state[2] or '0') then
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

/** The worker's side of the protocol, for strict tasks: seals a run before its end is stored, unless a cancel came first. */
export const sealScript: string = `
local job, lockKey = unpack(KEYS)
local token, seal = unpack(ARGV)
if redis.call('GET', lockKey) ~= token then return { 'lost' } end
local flag = redis.call('HGET', job, 'defa')
if flag and string.sub(flag, 1, ${CANCEL_FLAG.length}) == '${CANCEL_FLAG}' then
  return { 'cancelled', string.sub(flag, ${CANCEL_FLAG.length + 1}) }
end
redis.call('HSET', job, 'defa', seal)
return { 'sealed' }
`;
