/**
 * The part of the turn's script that stores ends.
 *
 * The ends are read together, and each is classified: refused, plain, or rare. A rare end has a parent, children that did
 * not succeed, a deduplication, metrics, or a claim without a lock; BullMQ's own code stores it. Neighbouring plain ends are a run, which is stored
 * together. A rare end lies between two runs, so BullMQ's code finds each list as it was after the ends before.
 *
 * All ids of a turn are distinct: the driver begins another script for a second end of a job.
 */
export const endsLua = `
-- An end is the list: 1 kind, 2 id, 3 key, 4 time, 5 text, 6 stacktraces or false, 7 its number, 8 attempts made,
-- 9 whether "defa" is set, 10 whether it is refused.
function t.readEnds(t, count)
  local values, prefix, at, kinds, ends, n = ARGV, t.prefix, 11, {}, {}, 0
  for k = 1, count do
    local isFailed = values[at + 1] == 'failed'
    kinds[k] = {
      token = values[at], outcome = values[at + 1], count = tonumber(values[at + 2]), age = tonumber(values[at + 3]),
      limit = tonumber(values[at + 4]), attempts = tonumber(values[at + 5]),
      isFailed = isFailed, property = isFailed and 'failedReason' or 'returnvalue',
    }
    at = at + 6
  end
  while at < #values do
    n = n + 1
    local kind, id = kinds[tonumber(values[at])], values[at + 1]
    local isFailed = kind.isFailed
    ends[n] = {
      kind, id, prefix .. id, values[at + 2], values[at + 3], isFailed and values[at + 4], n, 0, false, false,
    }
    at = at + (isFailed and 5 or 4)
  end
  return ends
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
  if kind.isFailed then
    fields = { 'failedReason', one[5] }
    if one[6] ~= '' then fields[3], fields[4] = 'stacktrace', one[6] end
    fields = cmsgpack.pack(fields)
  end
  return t.moveToFinished({
    t.wait, t.active, t.prioritized, t.events, t.stalled, t.limiter, t.delayed, t.paused, t.metaKey, t.counter,
    t[kind.outcome], one[3], t.prefix .. 'metrics:' .. kind.outcome, t.marker,
  }, {
    one[2], one[4], kind.property, one[5], kind.outcome, '0', t.prefix, cmsgpack.pack({
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
-- Returns false for a plain end, true for a rare one, and the code or the text of a refusal.
function t.classify(t, one, lock, haveChildren)
  local kind, job = one[1], nil
  if kind.isFailed then
    job = redis.pcall('HMGET', one[3], 'processedOn', 'parentKey', 'deid', 'atm', 'defa')
  else
    job = redis.pcall('HMGET', one[3], 'processedOn', 'parentKey', 'deid', 'atm')
  end
  if job.err then return job.err end
  if not job[1] and redis.call('EXISTS', one[3]) == 0 then return -1 end
  if kind.token == '0' or haveChildren and not kind.isFailed then return true end
  if lock ~= kind.token then return lock and -6 or -2 end
  if job[2] or job[3] or ARGV[2] ~= '' then return true end
  one[8] = (job[4] and tonumber(job[4]) or 0) + 1
  one[9] = job[5]
  return false
end
-- Removes the jobs of a run from the list of active ones, and returns those that were in it.
function t.deactivate(t, run)
  local call, active, n = redis.call, t.active, #run
  if n > 1 then
    -- Jobs end about in the order of their starts, and the list has the first started at its end.
    local oldest, wanted, found = call('LRANGE', active, -n, -1), {}, 0
    for i = 1, n do wanted[run[i][2]] = true end
    for i = 1, #oldest do
      if wanted[oldest[i]] then
        wanted[oldest[i]] = false
        found = found + 1
      end
    end
    if found == n then
      call('LTRIM', active, 0, -n - 1)
      return run
    end
  end
  local rest = {}
  for i = 1, n do
    local one = run[i]
    if call('LREM', active, -1, one[2]) > 0 then
      rest[#rest + 1] = one
    else
      if one[6] then
        call('HSET', one[3], 'failedReason', one[5])
        if one[6] ~= '' then call('HSET', one[3], 'stacktrace', one[6]) end
      end
      t.refuse(t, one, -3)
    end
  end
  return rest
end
function t.trimEvents(t)
  local maxEvents = t.meta[5]
  if not maxEvents then
    maxEvents = '10000'
    t.meta[5] = maxEvents
    redis.call('HSET', t.metaKey, 'opts.maxLenEvents', maxEvents)
  end
  redis.call('XTRIM', t.events, 'MAXLEN', '~', maxEvents)
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
-- Adds the jobs of a run to the finished ones: neighbours of one outcome and one retention together.
function t.retire(t, run)
  local groups, removed = {}, {}
  for i = 1, #run do
    local one = run[i]
    local kind, time = one[1], tonumber(one[4])
    if kind.count == 0 then
      removed[#removed + 1] = one[2]
    else
      local group = groups[kind.outcome]
      if group and (group.kind ~= kind or group.time > time) then
        t.addEnded(t, group.kind, group.members, group.time)
        group = nil
      end
      if not group then
        group = { kind = kind, members = {}, time = 0 }
        groups[kind.outcome] = group
      end
      local members = group.members
      group.time, members[#members + 1], members[#members + 2] = time, one[4], one[2]
    end
  end
  for _, group in pairs(groups) do t.addEnded(t, group.kind, group.members, group.time) end
  if #removed > 0 then t.removeJobs(t, removed) end
end
function t.storeRun(t, run)
  local call, events, locks, ids = redis.call, t.events, {}, {}
  for i = 1, #run do
    locks[i], ids[i] = run[i][3] .. ':lock', run[i][2]
  end
  call('DEL', unpack(locks))
  call('SREM', t.stalled, unpack(ids))
  run = t.deactivate(t, run)
  local n = #run
  for i = 1, n do
    -- BullMQ trims before the events of each end. The last trim does the work of all.
    if i == n then t.trimEvents(t) end
    local one = run[i]
    if one[6] then
      t.storeFailed(t, one)
    else
      if one[1].count ~= 0 then
        call('HSET', one[3], 'atm', one[8], 'returnvalue', one[5], 'finishedOn', one[4])
      end
      call('XADD', events, '*', 'event', 'completed', 'jobId', one[2], 'returnvalue', one[5], 'prev', 'active')
    end
  end
  if n == 0 then return end
  t.retire(t, run)
  if call('LLEN', t.wait) == 0 and call('LLEN', t.active) == 0 and call('ZCARD', t.prioritized) == 0 then
    call('XADD', events, '*', 'event', 'drained')
  end
end
function t.mustStoreSingly(t, run)
  local latest = {}
  for i = 1, #run do
    local kind, time = run[i][1], tonumber(run[i][4])
    if kind.count ~= 0 then latest[kind] = math.max(latest[kind] or time, time) end
  end
  for kind, time in pairs(latest) do
    if t.mustExpireSingly(t, kind, #run, time) then return true end
  end
  return false
end
function t.flush(t)
  local run = t.run
  if #run == 0 then return end
  t.run = {}
  local ok, result = pcall(t.mustStoreSingly, t, run)
  if ok and result then
    for i = 1, #run do t.storeRare(t, run[i]) end
    return
  end
  if ok then ok, result = pcall(t.storeRun, t, run) end
  for i = 1, #run do
    if not ok then t.refuse(t, run[i], t.textOf(result)) end
    if not run[i][10] then t.stored = t.stored + 1 end
  end
end
function t.storeEnds(t, kinds)
  local call, ends = redis.call, t.readEnds(t, kinds)
  local locks, children, c = {}, {}, 0
  for i = 1, #ends do
    local one = ends[i]
    locks[i] = one[3] .. ':lock'
    if not one[6] then
      children[c + 1], children[c + 2] = one[3] .. ':dependencies', one[3] .. ':unsuccessful'
      c = c + 2
    end
  end
  locks = call('MGET', unpack(locks))
  local haveChildren = c > 0 and call('EXISTS', unpack(children)) > 0
  t.run = {}
  for i = 1, #ends do
    local one = ends[i]
    local result = t.classify(t, one, locks[i], haveChildren)
    if not result then
      t.run[#t.run + 1] = one
    else
      t.flush(t)
      if result == true then
        t.storeRare(t, one)
      else
        -- The job may have ended before, and the retention of an earlier end of this turn may have removed it.
        t.refuse(t, one, call('EXISTS', one[3]) == 0 and -1 or result)
      end
    end
  end
  t.flush(t)
end
`;
