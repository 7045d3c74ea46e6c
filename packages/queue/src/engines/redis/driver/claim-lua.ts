/**
 * The part of the turn's script that claims jobs.
 *
 * Without a rate limit all jobs are moved at once, and then each is prepared. With one, or if more delayed jobs are due
 * than one promotion moves, jobs are moved one by one, because each may change whether the next one is allowed.
 */
export const claimLua = `
local function markBase(isBlocked)
  if not isBlocked then call('ZADD', marker, 0, '0') end
end
-- Moves up to 1,000 delayed jobs that are due, and returns whether there may be more.
local function promoteDue(isBlocked)
  local due = call('ZRANGEBYSCORE', delayed, 0, (now + 1) * 0x1000 - 1, 'LIMIT', 0, 1000)
  if #due == 0 then return false end
  call('ZREM', delayed, unpack(due))
  for i = 1, #due do
    local id, key = due[i], prefix .. due[i]
    local priority = tonumber(call('HGET', key, 'priority') or nil) or 0
    if priority == 0 then
      call('LPUSH', wait, id)
    else
      call('ZADD', prioritized, priority * 0x100000000 + call('INCR', counter) % 0x100000000, id)
    end
    call('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
    call('HSET', key, 'delay', 0)
  end
  markBase(isBlocked)
  return #due == 1000
end
-- Locks an active job, and adds its id and its hash to the answer. The hash is read before the claim changes it.
local function prepare(id, jobs, limit, duration)
  local key, starts, isDeferredFailure = prefix .. id, 0, false
  local job = call('HGETALL', key)
  for f = 1, #job, 2 do
    if job[f] == 'ats' then starts = tonumber(job[f + 1]) elseif job[f] == 'defa' then isDeferredFailure = true end
  end
  if limit and not isDeferredFailure and call('INCR', limiter) == 1 then
    call('PEXPIRE', limiter, math.floor(math.abs(duration)))
  end
  if ARGV[5] ~= '0' then call('SET', key .. ':lock', ARGV[5], 'PX', ARGV[6]) end
  call('XADD', events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
  if ARGV[7] == '' then
    call('HSET', key, 'processedOn', now, 'ats', starts + 1)
  else
    call('HSET', key, 'processedOn', now, 'pb', string.sub(ARGV[7], 2), 'ats', starts + 1)
  end
  jobs[#jobs + 1], jobs[#jobs + 2] = id, job
end
local function limitedTime(limit)
  if not limit or limit > tonumber(call('GET', limiter) or 0) then return 0 end
  local left = call('PTTL', limiter)
  if left == 0 then call('DEL', limiter) end
  return math.max(left, 0)
end
local function nextDelayed()
  local first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  return first[2] and tonumber(first[2]) / 0x1000 or 0
end
local function claimSingly(jobs, count, room, limit, duration, mayHaveDue)
  local taken = 0
  while taken < count do
    if taken > 0 and mayHaveDue then mayHaveDue = promoteDue(taken >= room) end
    local left = limitedTime(limit)
    if left > 0 then return left, 0 end
    if taken >= room then return 0, 0 end
    local id = call('RPOPLPUSH', wait, active)
    if id and string.sub(id, 1, 2) == '0:' then
      -- A marker that BullMQ 4 has left in the list.
      call('LREM', active, 1, id)
      id = call('RPOPLPUSH', wait, active)
    end
    if not id then
      id = call('ZPOPMIN', prioritized)[1]
      if not id then
        call('DEL', counter)
        return 0, nextDelayed()
      end
      call('LPUSH', active, id)
    end
    prepare(id, jobs, limit, duration)
    if taken == 0 then markBase(false) end
    taken = taken + 1
  end
  return 0, 0
end
local function claimTogether(jobs, count, room)
  local ids = {}
  local waiting = call('LRANGE', wait, -room, -1)
  for i = #waiting, 1, -1 do
    -- Only a marker of BullMQ 4 begins so.
    if string.sub(waiting[i], 1, 2) == '0:' then return claimSingly(jobs, count, room) end
    ids[#ids + 1] = waiting[i]
  end
  if #ids > 0 then call('LTRIM', wait, 0, -#ids - 1) end
  if #ids < room then
    local popped = call('ZPOPMIN', prioritized, room - #ids)
    for i = 1, #popped, 2 do ids[#ids + 1] = popped[i] end
  end
  if #ids > 0 then
    call('LPUSH', active, unpack(ids))
    markBase(false)
    for i = 1, #ids do prepare(ids[i], jobs) end
  end
  if #ids == room then return 0, 0 end
  call('DEL', counter)
  return 0, nextDelayed()
end
-- Fills the list of jobs, and returns the time of a rate limit and that of the next delayed job.
local function claim(jobs)
  local count = tonumber(ARGV[4])
  local room = count
  if isPaused then
    room = 0
  elseif concurrency then
    room = math.min(count, concurrency - call('LLEN', active))
  end
  local mayHaveDue = promoteDue(room <= 0)
  local limit = tonumber(meta[3] or ARGV[8])
  if limit or mayHaveDue or room <= 0 then
    return claimSingly(jobs, count, room, limit, ARGV[9] ~= '' and ARGV[9] or meta[4], mayHaveDue)
  end
  return claimTogether(jobs, count, room)
end
`;
