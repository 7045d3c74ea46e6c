import { bullFunction } from "./bullmq-texts.ts";

/**
 * The part of the turn's script that most turns do not need: refused, failed and rare ends, expired jobs, and claims one by
 * one. `t.loadRare` makes these functions at their first use, because making a function costs Redis half a microsecond.
 */
export const rareLua = (): string => `
function t.loadRare(t)
if t.refuse then return end
${bullFunction("t", "moveToFinished")}
function t.textOf(err)
  return type(err) == 'table' and err.err or tostring(err)
end
function t.refuse(t, one, why)
  if one[10] then return end
  one[10] = true
  local refusals = t.refusals
  refusals[#refusals + 1], refusals[#refusals + 2] = one[7], why
  if type(why) == 'string' then t.fault = t.fault or why end
end
function t.byBullMQ(t, one)
  local kind, fields = one[1], ''
  local property = kind.isFailed and 'failedReason' or 'returnvalue'
  if kind.isFailed then
    fields = { 'failedReason', one[5] }
    if one[6] ~= '' then fields[3], fields[4] = 'stacktrace', one[6] end
    fields = cmsgpack.pack(fields)
  end
  return t.moveToFinished({
    t.wait, t.active, t.prioritized, t.events, t.stalled, t.limiter, t.delayed, t.paused, t.metaKey, t.counter,
    t[kind.outcome], one[3], t.prefix .. 'metrics:' .. kind.outcome, t.marker,
  }, {
    one[2], one[4], property, one[5], kind.outcome, '0', t.prefix, cmsgpack.pack({
      token = kind.token, keepJobs = { count = kind.count, age = kind.age, limit = kind.limit },
      attempts = kind.attempts, maxMetricsSize = ARGV[2],
    }), fields,
  })
end
function t.storeRare(t, one)
  local ok, result = pcall(t.byBullMQ, t, one)
  if not ok then
    t.refuse(t, one, t.textOf(result))
  elseif result < 0 then
    t.refuse(t, one, result)
  else
    t.stored = t.stored + 1
  end
end
function t.storeFailed(t, one)
  local call, kind, key = redis.call, one[1], one[3]
  if kind.count ~= 0 then
    if one[6] == '' then
      call('HSET', key, 'failedReason', one[5], 'atm', one[8], 'finishedOn', one[4])
    else
      call('HSET', key, 'failedReason', one[5], 'stacktrace', one[6], 'atm', one[8], 'finishedOn', one[4])
    end
    if one[9] then call('HDEL', key, 'defa') end
  end
  call('XADD', t.events, '*', 'event', 'failed', 'jobId', one[2], 'failedReason', one[5], 'prev', 'active')
  if one[8] >= (kind.attempts or 0) then
    call('XADD', t.events, '*', 'event', 'retries-exhausted', 'jobId', one[2], 'attemptsMade', one[8])
  end
end
function t.haveParents(t, ids)
  for i = 1, #ids do
    if redis.call('HGET', t.prefix .. ids[i], 'parentKey') then return true end
  end
  return false
end
function t.removeJobs(t, ids)
  local keys, n = {}, 0
  for i = 1, #ids do
    local key = t.prefix .. ids[i]
    keys[n + 1], keys[n + 2], keys[n + 3] = key, key .. ':logs', key .. ':dependencies'
    keys[n + 4], keys[n + 5], keys[n + 6] = key .. ':processed', key .. ':failed', key .. ':unsuccessful'
    n = n + 6
    if n > 6000 or i == #ids then
      redis.call('DEL', unpack(keys, 1, n))
      n = 0
    end
  end
end
function t.removeExpired(t, kind, latest)
  local call, target = redis.call, t[kind.outcome]
  if kind.age then
    local start = latest - kind.age * 1000
    local old = call('ZREVRANGEBYSCORE', target, start, '-inf', 'LIMIT', 0, kind.limit or 1000)
    if #old > 0 then
      t.removeJobs(t, old)
      call('ZREMRANGEBYSCORE', target, '-inf', start)
    end
  end
  if kind.count and kind.count > 0 then
    local old = call('ZREVRANGE', target, kind.count, -1)
    if #old > 0 then
      t.removeJobs(t, old)
      call('ZREMRANGEBYRANK', target, 0, -(kind.count + 1))
    end
  end
end
-- Moves delayed jobs that are due, and returns whether there may be more.
function t.promote(t, due, isBlocked)
  local call, prefix = redis.call, t.prefix
  call('ZREM', t.delayed, unpack(due))
  for i = 1, #due do
    local id, key = due[i], prefix .. due[i]
    local priority = tonumber(call('HGET', key, 'priority') or nil) or 0
    if priority == 0 then
      call('LPUSH', t.wait, id)
    else
      call('ZADD', t.prioritized, priority * 0x100000000 + call('INCR', t.counter) % 0x100000000, id)
    end
    call('XADD', t.events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
    call('HSET', key, 'delay', 0)
  end
  if not isBlocked then call('ZADD', t.marker, 0, '0') end
  return #due == 1000
end
function t.limitedTime(t, limit)
  if not limit or limit > tonumber(redis.call('GET', t.limiter) or 0) then return 0 end
  local left = redis.call('PTTL', t.limiter)
  if left == 0 then redis.call('DEL', t.limiter) end
  return math.max(left, 0)
end
function t.claimSingly(t, count, room, limit, duration, mayHaveDue)
  local call, taken = redis.call, 0
  while taken < count do
    if taken > 0 and mayHaveDue then
      local due = t.findDue(t)
      mayHaveDue = #due > 0 and t.promote(t, due, taken >= room)
    end
    t.limitedFor = t.limitedTime(t, limit)
    if t.limitedFor > 0 or taken >= room then return end
    local id = call('RPOPLPUSH', t.wait, t.active)
    if id and string.sub(id, 1, 2) == '0:' then
      -- A marker that BullMQ 4 has left in the list.
      call('LREM', t.active, 1, id)
      id = call('RPOPLPUSH', t.wait, t.active)
    end
    if not id then
      id = call('ZPOPMIN', t.prioritized)[1]
      if not id then return t.runOut(t) end
      call('LPUSH', t.active, id)
    end
    t.prepare(t, { id }, limit, duration)
    if taken == 0 then call('ZADD', t.marker, 0, '0') end
    taken = taken + 1
  end
end
end
`;
