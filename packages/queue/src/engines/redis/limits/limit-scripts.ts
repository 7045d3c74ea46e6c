import { ELSEWHERE } from "../../limits/ledger-rows.ts";
import { REFUSED_UNTIL, limitsLua } from "./limits-lua.ts";

/** Enters jobs in lines. Values for each: the id, the number of its limits, their names. */
const joinScript = (shared: string): string => `${shared}
local at = 3
while at <= #ARGV do
  local id, count = ARGV[at], tonumber(ARGV[at + 1])
  local isKnown = false
  for i = at + 2, at + 1 + count do
    isKnown = isKnown or call('ZSCORE', part(ARGV[i], ':l'), id) or call('HEXISTS', part(ARGV[i], ':t'), id) == 1
  end
  if not isKnown then
    local rank = call('INCR', RANK)
    for i = at + 2, at + 1 + count do enter(ARGV[i], id, rank, 0) end
  end
  at = at + 2 + count
end
return 1
`;

/**
 * Asks for the slots of a job. Values: the id, the token; for each limit the name, the number of slots, the window, and 1 if
 * the limit includes the others. The limits are written only if the job still has the lock of its token.
 */
const askScript = (shared: string): string => `${shared}
${REFUSED_UNTIL}
local id, token = ARGV[3], ARGV[4]
if call('GET', base .. id .. ':lock') ~= token then return { 'lost' } end
local limits, hasAll, rank = {}, true, nil
for at = 5, #ARGV, 4 do
  local name, max, window = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  limits[#limits + 1] = { name, max, window, ARGV[at + 3] == '1' }
  call('HSET', TERMS, name, ARGV[at + 1] .. ' ' .. ARGV[at + 2])
  if window > 0 then
    hasAll = hasAll and call('ZSCORE', part(name, ':s'), token .. ' ' .. id)
  else
    local slot = call('HGET', part(name, ':t'), id)
    local old, owner = string.match(slot or '', '^(%d+) (.*)$')
    hasAll = hasAll and owner == token
    if owner and owner ~= token then
      call('HDEL', part(name, ':t'), id)
      rank = rank or old
    end
  end
  rank = call('ZSCORE', part(name, ':l'), id) or rank
end
if hasAll then return { 'granted' } end
rank = rank or tostring(call('INCR', RANK))
for _, limit in ipairs(limits) do
  local name = limit[1]
  local again = refusedUntil(name, limit[2], limit[3], id, tonumber(rank))
  if again then
    for _, other in ipairs(limits) do
      if other[1] ~= name then
        if limit[4] then enter(other[1], id, rank, ${ELSEWHERE}) else leave(other[1], id) end
      end
    end
    enter(name, id, rank, nil)
    return { 'refused', name, tostring(again) }
  end
end
for _, limit in ipairs(limits) do
  local name, window = limit[1], limit[3]
  leave(name, id)
  if window > 0 then
    call('ZADD', part(name, ':s'), now + window, token .. ' ' .. id)
  else
    call('HSET', part(name, ':t'), id, rank .. ' ' .. token)
  end
end
for _, limit in ipairs(limits) do wake(limit[1]) end
return { 'granted' }
`;

/** Frees the slots of a run. Values: the id, the token, 1 if the run was handed back, the names of its limits. */
const releaseScript = (shared: string): string => `${shared}
local id, token = ARGV[3], ARGV[4]
for at = 6, #ARGV do
  local name = ARGV[at]
  local rank, owner = string.match(call('HGET', part(name, ':t'), id) or '', '^(%d+) (.*)$')
  if owner == token then
    call('HDEL', part(name, ':t'), id)
    if ARGV[5] == '1' then enter(name, id, rank, 0) end
  end
end
for at = 6, #ARGV do wake(ARGV[at]) end
return 1
`;

/** Wakes the first jobs of lines. Values: the names. */
const wakeScript = (shared: string): string => `${shared}
for at = 3, #ARGV do wake(ARGV[at]) end
return 1
`;

/** Frees the slots of dead workers, and wakes the first jobs of lines. Values: the names. */
const sweepScript = (shared: string): string => `${shared}
for at = 3, #ARGV do
  local name = ARGV[at]
  dropDead(name)
  call('ZREMRANGEBYSCORE', part(name, ':s'), '-inf', now)
  wake(name)
end
return 1
`;

/** Drops a limit, and wakes all jobs of its line. Values: the name. */
const dropScript = (shared: string): string => `${shared}
local name = ARGV[3]
local ids = call('ZREVRANGE', part(name, ':l'), 0, -1)
for _, id in ipairs(ids) do
  leave(name, id)
  unpark(id)
end
call('DEL', part(name, ':t'), part(name, ':s'))
call('HDEL', TERMS, name)
return 1
`;

/** Reads the limits in use. */
const listScript = (shared: string): string => `${shared}
local answers, all = {}, call('HGETALL', TERMS)
for i = 1, #all, 2 do answers[#answers + 1] = state(all[i], all[i + 1]) end
return answers
`;

/** Reads the place of a parked job. Values: the id. Answers with nothing for any other job. */
const placeScript = (shared: string): string => `${shared}
local name = call('HGET', OF, ARGV[3])
local terms = name and call('HGET', TERMS, name)
local rank = terms and call('ZSCORE', part(name, ':l'), ARGV[3])
if not rank then return false end
local answer = state(name, terms)
answer[#answer + 1] = call('ZCOUNT', part(name, ':l'), '-inf', '(' .. rank)
return answer
`;

/** Returns the texts of the scripts of the limits by their names. They contain a text of BullMQ, and are built at their first use. */
export const limitScripts = (): Readonly<Record<string, string>> => {
  const shared = limitsLua();
  return {
    taskloomLimitJoin: joinScript(shared),
    taskloomLimitAsk: askScript(shared),
    taskloomLimitRelease: releaseScript(shared),
    taskloomLimitWake: wakeScript(shared),
    taskloomLimitSweep: sweepScript(shared),
    taskloomLimitDrop: dropScript(shared),
    taskloomLimitList: listScript(shared),
    taskloomLimitPlace: placeScript(shared),
  };
};
