/**
 * The part of the turn's script that claims jobs.
 *
 * Without a rate limit all jobs are moved at once, and then each is prepared. With one, or if more delayed jobs are due
 * than one promotion moves, jobs are moved one by one, because each may change whether the next one is allowed.
 */
export const claimLua = `
-- Moves up to 1,000 delayed jobs that are due, and returns whether there may be more.
function t.promoteDue(t, isBlocked)
  local call, prefix = redis.call, t.prefix
  local due = call('ZRANGEBYSCORE', t.delayed, 0, (t.now + 1) * 0x1000 - 1, 'LIMIT', 0, 1000)
  if #due == 0 then return false end
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
-- Locks active jobs, and adds their ids and hashes to the answer. A hash is read before the claim changes it.
function t.prepare(t, ids, limit, duration)
  local call, prefix, now, events, jobs = redis.call, t.prefix, t.now, t.events, t.jobs
  local token, lockMs, name = ARGV[5], ARGV[6], ARGV[7] ~= '' and string.sub(ARGV[7], 2)
  for i = 1, #ids do
    local id = ids[i]
    local key, starts, isDeferredFailure = prefix .. id, 1, false
    local job = call('HGETALL', key)
    for f = 1, #job, 2 do
      local field = job[f]
      if field == 'ats' then starts = job[f + 1] + 1 elseif field == 'defa' then isDeferredFailure = true end
    end
    if limit and not isDeferredFailure and call('INCR', t.limiter) == 1 then
      call('PEXPIRE', t.limiter, math.floor(math.abs(duration)))
    end
    if token ~= '0' then call('SET', key .. ':lock', token, 'PX', lockMs) end
    call('XADD', events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
    if name then
      call('HSET', key, 'processedOn', now, 'pb', name, 'ats', starts)
    else
      call('HSET', key, 'processedOn', now, 'ats', starts)
    end
    jobs[#jobs + 1], jobs[#jobs + 2] = id, job
  end
end
function t.limitedTime(t, limit)
  if not limit or limit > tonumber(redis.call('GET', t.limiter) or 0) then return 0 end
  local left = redis.call('PTTL', t.limiter)
  if left == 0 then redis.call('DEL', t.limiter) end
  return math.max(left, 0)
end
-- Records that no job is left: the time of the next delayed one is the answer.
function t.runOut(t)
  redis.call('DEL', t.counter)
  local first = redis.call('ZRANGE', t.delayed, 0, 0, 'WITHSCORES')
  if first[2] then t.nextDue = tonumber(first[2]) / 0x1000 end
end
function t.claimSingly(t, count, room, limit, duration, mayHaveDue)
  local call, taken = redis.call, 0
  while taken < count do
    if taken > 0 and mayHaveDue then mayHaveDue = t.promoteDue(t, taken >= room) end
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
function t.claimTogether(t, count, room)
  local call, ids = redis.call, {}
  local waiting = call('LRANGE', t.wait, -room, -1)
  for i = #waiting, 1, -1 do
    -- Only a marker of BullMQ 4 begins so.
    if string.sub(waiting[i], 1, 2) == '0:' then return t.claimSingly(t, count, room) end
    ids[#ids + 1] = waiting[i]
  end
  if #ids > 0 then call('LTRIM', t.wait, 0, -#ids - 1) end
  if #ids < room then
    local popped = call('ZPOPMIN', t.prioritized, room - #ids)
    for i = 1, #popped, 2 do ids[#ids + 1] = popped[i] end
  end
  if #ids > 0 then
    call('LPUSH', t.active, unpack(ids))
    call('ZADD', t.marker, 0, '0')
    t.prepare(t, ids)
  end
  if #ids < room then t.runOut(t) end
end
function t.claim(t, count)
  local meta, room = t.meta, count
  if meta[1] then
    room = 0
  elseif meta[2] then
    room = math.min(count, tonumber(meta[2]) - redis.call('LLEN', t.active))
  end
  local mayHaveDue = t.promoteDue(t, room <= 0)
  local limit = tonumber(meta[3] or ARGV[8])
  if limit or mayHaveDue or room <= 0 then
    t.claimSingly(t, count, room, limit, ARGV[9] ~= '' and ARGV[9] or meta[4], mayHaveDue)
  else
    t.claimTogether(t, count, room)
  end
end
`;
