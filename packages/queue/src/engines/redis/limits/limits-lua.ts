import { LINE_GRACE_MS, LONGEST_PARK_MS } from "../../../contract/task-limits.ts";
import { bullFunction } from "../driver/bullmq-texts.ts";

/** The keys of a lane that BullMQ's promotion of a delayed job needs, by their names in the queue, in its order. */
export const PROMOTE_KEYS = [
  "delayed",
  "wait",
  "paused",
  "meta",
  "prioritized",
  "active",
  "pc",
  "events",
  "marker",
] as const;

/**
 * The Lua functions that all scripts of the limits share. The first values of each script are the prefix of the lane's keys,
 * and the time of the engine's clock. The rules are those of `engines/limits/ledger.ts`.
 *
 * The lane has the hash `tl-limits` (the terms of each limit, as "max window"), the counter `tl-limit-rank`, and the hash
 * `tl-limit-of` (the limit in whose line a parked job waits). A limit has
 *
 * - `:t` of a concurrency limit: a hash of its slots, by the id of the job, as "rank token";
 * - `:s` of a rate: a sorted set of its slots, "token id" by the time at which the slot is free;
 * - `:l` its line: a sorted set of ids by rank;
 * - `:h` the jobs of the line that are not parked for a slot of this limit: a hash of the time until which later jobs wait for
 *   them, of 0, or of ELSEWHERE.
 */
export const limitsLua = (): string => `
local call = redis.call
local base, now = ARGV[1], tonumber(ARGV[2])
local TERMS, RANK, OF = base .. 'tl-limits', base .. 'tl-limit-rank', base .. 'tl-limit-of'
local bull = {}
${bullFunction("bull", "promote")}
local function part(name, suffix) return base .. 'tl-limit:' .. name .. suffix end
local function numbers(text)
  local a, b = string.match(text, '^(%d+) (%d+)$')
  return tonumber(a), tonumber(b)
end
local function leave(name, id)
  if call('ZREM', part(name, ':l'), id) == 0 then return end
  call('HDEL', part(name, ':h'), id)
  if call('HGET', OF, id) == name then call('HDEL', OF, id) end
end
-- Enters a job that has not asked yet, with its hold, or one that is parked, without.
local function enter(name, id, rank, hold)
  call('ZADD', part(name, ':l'), rank, id)
  if hold then
    call('HSET', part(name, ':h'), id, hold)
  else
    call('HDEL', part(name, ':h'), id)
    call('HSET', OF, id, name)
  end
end
local function dropDead(name)
  local slots = call('HGETALL', part(name, ':t'))
  for i = 1, #slots, 2 do
    local id = slots[i]
    local rank, token = string.match(slots[i + 1], '^(%d+) (.*)$')
    if call('GET', base .. id .. ':lock') ~= token then
      call('HDEL', part(name, ':t'), id)
      local facts = call('HMGET', base .. id, 'timestamp', 'finishedOn')
      if facts[1] and not facts[2] and not call('ZSCORE', part(name, ':l'), id) then
        enter(name, id, rank, now + ${LINE_GRACE_MS})
      end
    end
  end
end
local function taken(name, window)
  if window > 0 then return call('ZCARD', part(name, ':s')) end
  return call('HLEN', part(name, ':t'))
end
local function free(name, max, window)
  if window > 0 then call('ZREMRANGEBYSCORE', part(name, ':s'), '-inf', now) end
  local left = max - taken(name, window)
  if left > 0 or window > 0 then return left end
  dropDead(name)
  return max - taken(name, window)
end
-- Returns the first jobs of a line that have to go before a rank, at most so many. Jobs that are gone are removed.
local function front(name, most, before, asking)
  local found, from = {}, '-inf'
  while true do
    local page = call('ZRANGEBYSCORE', part(name, ':l'), from, '+inf', 'WITHSCORES', 'LIMIT', 0, 64)
    for i = 1, #page, 2 do
      local id, rank = page[i], tonumber(page[i + 1])
      if rank >= before or #found >= most then return found end
      from = '(' .. page[i + 1]
      if id ~= asking then
        local hold = tonumber(call('HGET', part(name, ':h'), id) or nil)
        local facts = call('HMGET', base .. id, 'timestamp', 'finishedOn')
        local isOver = hold and hold > 0 and hold <= now
        if facts[1] then
          if facts[2] then leave(name, id) elseif not isOver then found[#found + 1] = { id, hold } end
        elseif not hold or hold < 0 or isOver then
          leave(name, id)
        else
          found[#found + 1] = { id, hold }
        end
      end
    end
    if #page < 128 then return found end
  end
end
-- Bounds the time for which later jobs wait for jobs that have not asked yet, and returns the first end of that time.
local function holdFront(name, found)
  local first = math.huge
  for _, each in ipairs(found) do
    local id, hold = each[1], each[2]
    if hold == 0 then
      hold = now + ${LINE_GRACE_MS}
      call('HSET', part(name, ':h'), id, hold)
    end
    if hold and hold > 0 then first = math.min(first, hold) end
  end
  return first
end
-- A promotion puts the job behind all others. A parked job was taken before, so it goes before them.
local function unpark(id)
  if not call('ZSCORE', KEYS[1], id) then return end
  bull.promote(KEYS, { base, id })
  if call('LREM', KEYS[2], 1, id) == 1 then call('RPUSH', KEYS[2], id) end
end
local function wake(name)
  local terms = call('HGET', TERMS, name)
  if not terms then return end
  local max, window = numbers(terms)
  if call('ZCARD', part(name, ':l')) > 0 then
    local left = free(name, max, window)
    if left > 0 then
      local found = front(name, left, math.huge)
      for i = #found, 1, -1 do
        if not found[i][2] then unpark(found[i][1]) end
      end
      if call('ZCARD', part(name, ':l')) > call('HLEN', part(name, ':h')) then holdFront(name, found) end
    end
  end
  if call('ZCARD', part(name, ':l')) == 0 and taken(name, window) == 0 then call('HDEL', TERMS, name) end
end
local function state(name, terms)
  local max, window = numbers(terms)
  local count = 0
  if window > 0 then
    count = call('ZCOUNT', part(name, ':s'), '(' .. now, '+inf')
  else
    local slots = call('HGETALL', part(name, ':t'))
    for i = 1, #slots, 2 do
      if call('GET', base .. slots[i] .. ':lock') == string.match(slots[i + 1], '^%d+ (.*)$') then count = count + 1 end
    end
  end
  return { name, max, window, count, call('ZCARD', part(name, ':l')) }
end
`;

/** Returns when a refused job asks again; nil if the limit has a slot for it. */
export const REFUSED_UNTIL: string = `
local function refusedUntil(name, max, window, id, rank)
  local left = free(name, max, window)
  if left > 0 then
    local ahead = front(name, left, rank, id)
    if #ahead < left then return nil end
    local longest = window == 0 and ${LONGEST_PARK_MS} or math.min(window, 1000)
    return math.min(now + longest, holdFront(name, ahead))
  end
  if window == 0 then return now + ${LONGEST_PARK_MS} end
  local count = taken(name, window)
  local first = count - max
  local at = first + call('ZCOUNT', part(name, ':l'), '-inf', '(' .. rank)
  local later, windows = at - count, 0
  if later >= 0 then at, windows = first + later % max, 1 + math.floor(later / max) end
  return tonumber(call('ZRANGE', part(name, ':s'), at, at, 'WITHSCORES')[2]) + window * windows
end
`;
