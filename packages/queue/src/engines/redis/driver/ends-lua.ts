/**
 * The part of the turn's script that stores ends.
 *
 * The ends are read together, and each is classified: refused, plain, or rare. A rare end has a parent, children that did
 * not succeed, a deduplication, metrics, or a claim without a lock; BullMQ's own code stores it. Neighbouring plain ends are a run, which is stored
 * together. A rare end lies between two runs, so BullMQ's code finds each list as it was after the ends before.
 *
 * All ids of a turn are distinct: the driver begins another script for a second end of a job.
 */
export const endsLua: string = `
-- An end is the list: 1 kind, 2 id, 3 key, 4 time, 5 text, 6 stacktraces or false, 7 its number, 8 attempts made,
-- 9 whether "defa" is set, 10 whether it is refused.
function t.readEnds(t, count)
  local values, prefix, at, kinds, ends, n = ARGV, t.prefix, 11, t.kinds, {}, 0
  for k = 1, count do
    local isFailed = values[at + 1] == 'failed'
    kinds[k] = {
      token = values[at], outcome = values[at + 1], count = tonumber(values[at + 2]), age = tonumber(values[at + 3]),
      limit = tonumber(values[at + 4]), attempts = tonumber(values[at + 5]), isFailed = isFailed,
      latest = false, mayExpire = false,
    }
    at = at + 6
  end
  while at < t.last do
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
-- Removes the jobs of a run from the list of active ones, and returns those that were in it.
function t.deactivateSingly(t, run)
  local rest = {}
  for i = 1, #run do
    local one = run[i]
    if redis.call('LREM', t.active, -1, one[2]) > 0 then
      rest[#rest + 1] = one
    else
      if one[6] then
        redis.call('HSET', one[3], 'failedReason', one[5])
        if one[6] ~= '' then redis.call('HSET', one[3], 'stacktrace', one[6]) end
      end
      t.loadRare(t)
      t.refuse(t, one, -3)
    end
  end
  return rest
end
function t.storeRun(t, run)
  local call, events, active, n = redis.call, t.events, t.active, #run
  local locks, ids = {}, {}
  for i = 1, n do
    locks[i], ids[i] = run[i][3] .. ':lock', run[i][2]
  end
  call('DEL', unpack(locks))
  call('SREM', t.stalled, unpack(ids))
  local found = 0
  if n > 1 then
    -- Jobs end about in the order of their starts, and the list has the first started at its end.
    local oldest, wanted = call('LRANGE', active, -n, -1), {}
    for i = 1, n do wanted[ids[i]] = true end
    for i = 1, #oldest do
      if wanted[oldest[i]] then
        wanted[oldest[i]] = false
        found = found + 1
      end
    end
    if found == n then call('LTRIM', active, 0, -n - 1) end
  end
  if found < n then
    run = t.deactivateSingly(t, run)
    n = #run
    if n == 0 then return end
  end
  for i = 1, n do
    local one = run[i]
    if i == n then
      -- BullMQ trims before the events of each end. The last trim does the work of all.
      if not t.meta[5] then
        t.meta[5] = '10000'
        call('HSET', t.metaKey, 'opts.maxLenEvents', '10000')
      end
      call('XTRIM', events, 'MAXLEN', '~', t.meta[5])
    end
    if one[6] then
      t.storeFailed(t, one)
    else
      if one[1].count ~= 0 then
        call('HSET', one[3], 'atm', one[8], 'returnvalue', one[5], 'finishedOn', one[4])
      end
      call('XADD', events, '*', 'event', 'completed', 'jobId', one[2], 'returnvalue', one[5], 'prev', 'active')
    end
  end
  t.retire(t, run)
  if call('LLEN', t.wait) == 0 and call('LLEN', active) == 0 and call('ZCARD', t.prioritized) == 0 then
    call('XADD', events, '*', 'event', 'drained')
  end
end
function t.flush(t)
  local run = t.run
  if #run == 0 then return end
  t.run = {}
  local ok, result = pcall(t.mustStoreSingly, t, run)
  if ok and result then
    t.loadRare(t)
    for i = 1, #run do t.storeRare(t, run[i]) end
    return
  end
  if ok then ok, result = pcall(t.storeRun, t, run) end
  for i = 1, #run do
    if not ok then
      t.loadRare(t)
      t.refuse(t, run[i], t.textOf(result))
    end
    if not run[i][10] then t.stored = t.stored + 1 end
  end
end
-- Adds a plain end to the run, and returns nothing; returns true for a rare end, and the code or the text of a refusal.
function t.classify(t, one, lock, haveChildren)
  local kind, job = one[1], nil
  if one[6] then
    t.loadRare(t)
    job = redis.pcall('HMGET', one[3], 'processedOn', 'parentKey', 'deid', 'atm', 'defa')
  else
    job = redis.pcall('HMGET', one[3], 'processedOn', 'parentKey', 'deid', 'atm')
  end
  if job.err then return job.err end
  if not job[1] and redis.call('EXISTS', one[3]) == 0 then return -1 end
  if kind.token == '0' or haveChildren and not kind.isFailed then return true end
  if lock ~= kind.token then return lock and -6 or -2 end
  if job[2] or job[3] or ARGV[2] ~= '' then return true end
  one[8], one[9] = (job[4] and tonumber(job[4]) or 0) + 1, job[5]
  t.run[#t.run + 1] = one
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
  for i = 1, #ends do
    local one = ends[i]
    local result = t.classify(t, one, locks[i], haveChildren)
    if result then
      t.flush(t)
      t.loadRare(t)
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
