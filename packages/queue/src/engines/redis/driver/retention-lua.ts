/**
 * The part of the turn's script that removes expired jobs.
 *
 * BullMQ removes jobs after each end. Here the ends of one outcome and one retention are added together, and the jobs that
 * they displace are removed together. The result is the same as long as the times of the ends do not decrease, fewer jobs
 * expire than one removal may take, and no removed job has a parent, since the parent may have waited for this child. The
 * other cases are left to BullMQ's code: `t.mustStoreSingly` recognizes them before anything is written.
 */
export const retentionLua = `
function t.mustStoreSingly(t, run)
  local call, n, kinds, earliest = redis.call, #run, t.kinds, math.huge
  for i = 1, n do
    local kind, time = run[i][1], tonumber(run[i][4])
    if not kind.latest or kind.latest < time then kind.latest = time end
    earliest = math.min(earliest, time)
  end
  for k = 1, #kinds do
    local kind = kinds[k]
    local latest, target = kind.latest, t[kind.outcome]
    kind.latest, kind.mayExpire = false, false
    if latest and kind.count ~= 0 then
      if kind.age then
        local start, limit = latest - kind.age * 1000, kind.limit or 1000
        local old = call('ZREVRANGEBYSCORE', target, start, '-inf', 'LIMIT', 0, limit)
        if #old > 0 or earliest <= start then
          t.loadRare(t)
          if #old + n >= limit or t.haveParents(t, old) then return true end
          kind.mayExpire = true
        end
      end
      if kind.count and kind.count > 0 then
        local surplus = call('ZCARD', target) + n - kind.count
        if surplus > 1000 then return true end
        if surplus > 0 then
          t.loadRare(t)
          if t.haveParents(t, call('ZRANGE', target, 0, surplus - 1)) then return true end
          kind.mayExpire = true
        end
      end
    end
  end
  return false
end
-- Adds the members of a group, which are times and ids in turn, and removes the jobs that they displace.
function t.retireGroup(t, group)
  redis.call('ZADD', t[group.kind.outcome], unpack(group.members))
  if group.kind.mayExpire then t.removeExpired(t, group.kind, group.time) end
end
-- Adds the jobs of a run to the finished ones: neighbours of one outcome and one retention together.
function t.retire(t, run)
  local groups, removed = {}, false
  for i = 1, #run do
    local one = run[i]
    local kind, time = one[1], tonumber(one[4])
    if kind.count == 0 then
      removed = removed or {}
      removed[#removed + 1] = one[2]
    else
      local group = groups[kind.outcome]
      if group and (group.kind ~= kind or group.time > time) then
        t.retireGroup(t, group)
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
  if groups.completed then t.retireGroup(t, groups.completed) end
  if groups.failed then t.retireGroup(t, groups.failed) end
  if removed then
    t.loadRare(t)
    t.removeJobs(t, removed)
  end
end
`;
