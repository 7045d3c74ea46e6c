/**
 * The part of the turn's script that claims jobs.
 *
 * Without a rate limit all jobs are moved at once, and then each is prepared. With one, or if more delayed jobs are due
 * than one promotion moves, jobs are moved one by one, because each may change whether the next one is allowed.
 */
export const claimLua = `
function t.findDue(t)
  return redis.call('ZRANGEBYSCORE', t.delayed, 0, (t.now + 1) * 0x1000 - 1, 'LIMIT', 0, 1000)
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
-- Records that no job is left: the time of the next delayed one is the answer.
function t.runOut(t)
  redis.call('DEL', t.counter)
  local first = redis.call('ZRANGE', t.delayed, 0, 0, 'WITHSCORES')
  if first[2] then t.nextDue = tonumber(first[2]) / 0x1000 end
end
function t.claimTogether(t, count, room)
  local call, ids, waiting = redis.call, {}, nil
  if room == 1 then
    waiting = { call('RPOPLPUSH', t.wait, t.active) or nil }
  else
    waiting = call('LRANGE', t.wait, -room, -1)
  end
  for i = #waiting, 1, -1 do
    ids[#ids + 1] = waiting[i]
    if string.sub(waiting[i], 1, 2) == '0:' then
      -- Only a marker of BullMQ 4 begins so.
      if room == 1 then
        call('LREM', t.active, 1, waiting[i])
        call('RPUSH', t.wait, waiting[i])
      end
      t.loadRare(t)
      return t.claimSingly(t, count, room)
    end
  end
  local taken = #ids
  if room > 1 and taken > 0 then
    call('LTRIM', t.wait, 0, -taken - 1)
    call('LPUSH', t.active, unpack(ids))
  end
  if taken < room then
    local popped, ranked = call('ZPOPMIN', t.prioritized, room - taken), {}
    for i = 1, #popped, 2 do
      ids[#ids + 1], ranked[#ranked + 1] = popped[i], popped[i]
    end
    if #ranked > 0 then call('LPUSH', t.active, unpack(ranked)) end
  end
  if #ids > 0 then
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
  local due, mayHaveDue = t.findDue(t), false
  if #due > 0 then
    t.loadRare(t)
    mayHaveDue = t.promote(t, due, room <= 0)
  end
  local limit = tonumber(meta[3] or ARGV[8])
  if limit or mayHaveDue or room <= 0 then
    t.loadRare(t)
    t.claimSingly(t, count, room, limit, ARGV[9] ~= '' and ARGV[9] or meta[4], mayHaveDue)
  else
    t.claimTogether(t, count, room)
  end
end
`;
