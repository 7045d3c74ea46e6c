/**
 * The part of the turn's script that removes expired jobs.
 *
 * BullMQ removes jobs after each end. Here the ends of one outcome and one retention are added together, and the jobs that
 * they displace are removed together. The result is the same as long as the times of the ends do not decrease, fewer jobs
 * expire than one removal may take, and no removed job has a parent, since the parent may have waited for this child. The
 * other cases are left to BullMQ's code: `mustExpireSingly` recognizes them before anything is written.
 */
export const retentionLua = `
local MANY = 1000
local function haveParents(ids)
  for i = 1, #ids do
    if call('HGET', prefix .. ids[i], 'parentKey') then return true end
  end
  return false
end
local function mustExpireSingly(kind, count, latest)
  local target = targets[kind.outcome]
  if kind.age then
    local limit = kind.limit or MANY
    local old = call('ZREVRANGEBYSCORE', target, latest - kind.age * 1000, '-inf', 'LIMIT', 0, limit)
    if #old + count >= limit or haveParents(old) then return true end
  end
  if kind.count and kind.count > 0 then
    local surplus = call('ZCARD', target) + count - kind.count
    if surplus > MANY then return true end
    if surplus > 0 and haveParents(call('ZRANGE', target, 0, surplus - 1)) then return true end
  end
  return false
end
local function removeJobs(ids)
  if #ids == 0 then return end
  local keys, n = {}, 0
  for i = 1, #ids do
    local key = prefix .. ids[i]
    keys[n + 1], keys[n + 2], keys[n + 3] = key, key .. ':logs', key .. ':dependencies'
    keys[n + 4], keys[n + 5], keys[n + 6] = key .. ':processed', key .. ':failed', key .. ':unsuccessful'
    n = n + 6
    if n > 6000 or i == #ids then
      call('DEL', unpack(keys, 1, n))
      n = 0
    end
  end
end
-- Adds the members of a group, which are scores and ids in turn, and removes the jobs that they displace.
local function addEnded(kind, members, latest)
  local target = targets[kind.outcome]
  call('ZADD', target, unpack(members))
  if kind.age then
    local start = latest - kind.age * 1000
    local old = call('ZREVRANGEBYSCORE', target, start, '-inf', 'LIMIT', 0, kind.limit or MANY)
    if #old > 0 then
      removeJobs(old)
      call('ZREMRANGEBYSCORE', target, '-inf', start)
    end
  end
  if kind.count and kind.count > 0 then
    local old = call('ZREVRANGE', target, kind.count, -1)
    if #old > 0 then
      removeJobs(old)
      call('ZREMRANGEBYRANK', target, 0, -(kind.count + 1))
    end
  end
end
`;
