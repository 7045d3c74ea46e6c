/**
 * The part of the turn's script that stores ends.
 *
 * The ends are read together, and each is classified: refused, plain, or rare. A rare end has a parent, children that did
 * not succeed, a deduplication or metrics; BullMQ's own code stores it. Neighbouring plain ends are a run, which is stored
 * together. A rare end lies between two runs, so BullMQ's code finds each list as it was after the ends before.
 *
 * All ids of a turn are distinct: the driver begins another script for a second end of a job.
 */
export const endsLua = `
local kinds, ends = {}, {}
local function readEnds()
  local at = 11
  for k = 1, tonumber(ARGV[10]) do
    kinds[k] = {
      token = ARGV[at], outcome = ARGV[at + 1], count = tonumber(ARGV[at + 2]), age = tonumber(ARGV[at + 3]),
      limit = tonumber(ARGV[at + 4]), attempts = tonumber(ARGV[at + 5]),
      isFailed = ARGV[at + 1] == 'failed', property = ARGV[at + 1] == 'failed' and 'failedReason' or 'returnvalue',
    }
    at = at + 6
  end
  local n = 0
  while at < #ARGV do
    n = n + 1
    local kind = kinds[tonumber(ARGV[at])]
    local one = { kind, ARGV[at + 1], prefix .. ARGV[at + 1], ARGV[at + 2], ARGV[at + 3] }
    if kind.isFailed then
      one[6] = ARGV[at + 4]
      at = at + 1
    end
    ends[n] = one
    at = at + 4
  end
end
-- An end is the list: 1 kind, 2 id, 3 key, 4 time, 5 text, 6 stacktraces, 7 attempts made, 8 whether "defa" is set.
local function byBullMQ(one)
  local kind, fields = one[1], ''
  if kind.isFailed then
    fields = { 'failedReason', one[5] }
    if one[6] ~= '' then fields[3], fields[4] = 'stacktrace', one[6] end
    fields = cmsgpack.pack(fields)
  end
  return moveToFinished({
    wait, active, prioritized, events, stalled, limiter, delayed, paused, metaKey, counter, targets[kind.outcome],
    one[3], prefix .. 'metrics:' .. kind.outcome, marker,
  }, {
    one[2], one[4], kind.property, one[5], kind.outcome, '0', prefix, cmsgpack.pack({
      token = kind.token, keepJobs = { count = kind.count, age = kind.age, limit = kind.limit },
      attempts = kind.attempts, maxMetricsSize = ARGV[2],
    }), fields,
  })
end
-- Returns false for a plain end, true for a rare one, and the code of a refusal.
local function classify(one, lock, haveChildren)
  local kind = one[1]
  local job = call('HMGET', one[3], 'processedOn', 'parentKey', 'parent', 'deid', 'atm', 'defa')
  if not job[1] and call('EXISTS', one[3]) == 0 then return -1 end
  if haveChildren and not kind.isFailed then return true end
  if kind.token ~= '0' and lock ~= kind.token then return lock and -6 or -2 end
  if job[2] or job[3] or job[4] or ARGV[2] ~= '' then return true end
  one[7], one[8] = (tonumber(job[5] or nil) or 0) + 1, job[6]
  return false
end
-- Removes the jobs of a run from the list of active ones, and returns those that were in it.
local function deactivate(run, refuse)
  local n = #run
  if n > 1 then
    -- Jobs end about in the order of their starts, and the list has the first started at its end.
    local oldest, wanted, found = call('LRANGE', active, -n, -1), {}, 0
    for i = 1, n do wanted[run[i][2]] = true end
    for i = 1, #oldest do
      if wanted[oldest[i]] then
        wanted[oldest[i]] = nil
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
      if one[1].isFailed then
        call('HSET', one[3], 'failedReason', one[5])
        if one[6] ~= '' then call('HSET', one[3], 'stacktrace', one[6]) end
      end
      refuse(one, -3)
    end
  end
  return rest
end
local function trimEvents()
  if not meta[5] then
    meta[5] = '10000'
    call('HSET', metaKey, 'opts.maxLenEvents', meta[5])
  end
  call('XTRIM', events, 'MAXLEN', '~', meta[5])
end
local function storeOne(one)
  local kind = one[1]
  if kind.count ~= 0 then
    if not kind.isFailed then
      call('HSET', one[3], 'atm', one[7], 'returnvalue', one[5], 'finishedOn', one[4])
    else
      if one[6] == '' then
        call('HSET', one[3], 'failedReason', one[5], 'atm', one[7], 'finishedOn', one[4])
      else
        call('HSET', one[3], 'failedReason', one[5], 'stacktrace', one[6], 'atm', one[7], 'finishedOn', one[4])
      end
      if one[8] then call('HDEL', one[3], 'defa') end
    end
  end
  call('XADD', events, '*', 'event', kind.outcome, 'jobId', one[2], kind.property, one[5], 'prev', 'active')
  if kind.isFailed and one[7] >= (kind.attempts or 0) then
    call('XADD', events, '*', 'event', 'retries-exhausted', 'jobId', one[2], 'attemptsMade', one[7])
  end
end
-- Adds the jobs of a run to the finished ones: neighbours of one outcome and one retention together.
local function retire(run)
  local groups, removed = {}, {}
  for i = 1, #run do
    local one, kind, time = run[i], run[i][1], tonumber(run[i][4])
    if kind.count == 0 then
      removed[#removed + 1] = one[2]
    else
      local group = groups[kind.outcome]
      if group and (group.time > time or group.kind.count ~= kind.count or group.kind.age ~= kind.age
        or group.kind.limit ~= kind.limit) then
        addEnded(group.kind, group.members, group.time)
        group = nil
      end
      if not group then
        group = { kind = kind, members = {} }
        groups[kind.outcome] = group
      end
      local members = group.members
      group.time, members[#members + 1], members[#members + 2] = time, one[4], one[2]
    end
  end
  for _, group in pairs(groups) do addEnded(group.kind, group.members, group.time) end
  removeJobs(removed)
end
local function storeRun(run, refuse)
  local locks, ids = {}, {}
  for i = 1, #run do
    if run[i][1].token ~= '0' then
      locks[#locks + 1], ids[#ids + 1] = run[i][3] .. ':lock', run[i][2]
    end
  end
  if #locks > 0 then
    call('DEL', unpack(locks))
    call('SREM', stalled, unpack(ids))
  end
  run = deactivate(run, refuse)
  if #run == 0 then return end
  for i = 1, #run do
    -- BullMQ trims before the events of each end. The last trim does the work of all.
    if i == #run then trimEvents() end
    storeOne(run[i])
  end
  retire(run)
  if call('LLEN', wait) == 0 and call('LLEN', active) == 0 and call('ZCARD', prioritized) == 0 then
    call('XADD', events, '*', 'event', 'drained')
  end
end
local function mustStoreSingly(run)
  local seen = {}
  for i = 1, #run do
    local kind = run[i][1]
    local at = seen[kind] or { 0, 0 }
    seen[kind] = { at[1] + 1, math.max(at[2], tonumber(run[i][4])) }
  end
  for kind, at in pairs(seen) do
    if kind.count ~= 0 and mustExpireSingly(kind, #run, at[2]) then return true end
  end
  return false
end
local function storeEnds()
  readEnds()
  local refusals, stored, fault, run = {}, 0, nil, {}
  local n = #ends
  if n == 0 then return refusals, stored, fault end
  local locks, children = {}, {}
  for i = 1, n do
    local one = ends[i]
    one.at = i
    locks[i] = one[3] .. ':lock'
    if not one[1].isFailed then
      children[#children + 1] = one[3] .. ':dependencies'
      children[#children + 1] = one[3] .. ':unsuccessful'
    end
  end
  locks = call('MGET', unpack(locks))
  local haveChildren = #children > 0 and call('EXISTS', unpack(children)) > 0
  local function refuse(one, why)
    if one.isRefused then return end
    one.isRefused = true
    refusals[#refusals + 1], refusals[#refusals + 2] = one.at, why
    if type(why) == 'string' then fault = fault or why end
  end
  local function storeRare(one)
    local ok, result = pcall(byBullMQ, one)
    if not ok then refuse(one, textOf(result)) elseif result < 0 then refuse(one, result) else stored = stored + 1 end
  end
  local function flush()
    local ended = run
    run = {}
    if #ended == 0 then return end
    local ok, result = pcall(mustStoreSingly, ended)
    if ok and result then
      for i = 1, #ended do storeRare(ended[i]) end
      return
    end
    if ok then ok, result = pcall(storeRun, ended, refuse) end
    for i = 1, #ended do
      if not ok then refuse(ended[i], textOf(result)) end
      if not ended[i].isRefused then stored = stored + 1 end
    end
  end
  for i = 1, n do
    local one = ends[i]
    local ok, result = pcall(classify, one, locks[i], haveChildren)
    if not ok then
      refuse(one, textOf(result))
    elseif result == true then
      flush()
      storeRare(one)
    elseif result then
      refuse(one, result)
    else
      run[#run + 1] = one
    end
  end
  flush()
  return refusals, stored, fault
end
`;
