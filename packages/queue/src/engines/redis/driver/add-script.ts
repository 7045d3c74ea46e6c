import { bullFunction } from "./bullmq-texts.ts";

/** The keys of the add script, by their names in a queue, in order. */
export const ADD_KEYS = [
  "wait",
  "meta",
  "id",
  "delayed",
  "active",
  "events",
  "marker",
  "prioritized",
  "pc",
] as const;

/**
 * The script that adds many jobs in their order.
 *
 * Its result equals BullMQ's own script for each job. Neighbouring plain jobs are a run: their numbers, their pushes and
 * the marker are written once per run. The other jobs, such as children and deduplicated ones, are added by BullMQ's code.
 *
 * The values are the prefix of the job's keys, and then for each job its form and more values:
 *
 * - `f` or `l`, for a job in the order of addition or of the opposite order: id or "", name, data, options, time;
 * - `d` or `p`, for a delayed or a prioritized job: the same, then delay and priority;
 * - the name of BullMQ's script: the number of its keys, the number of its values, its keys, its values.
 *
 * The options are a JSON text in the order in which BullMQ packs them. The script decodes and encodes it again, so that the
 * stored text has Lua's order of the keys, as BullMQ's has. The character U+0001 stands for the job's id, so jobs with the
 * same options have the same text, and it is encoded once.
 *
 * The functions have no upvalues; `turnScript` says why.
 *
 * The answer has for each job its id, the negative code of BullMQ's script, or a list with the text of an error.
 */
export const addScript = (): string => `
local own = {}
${bullFunction("own", "addStandardJob")}
${bullFunction("own", "addDelayedJob")}
${bullFunction("own", "addPrioritizedJob")}
local t = {
  prefix = ARGV[1], wait = KEYS[1], meta = KEYS[2], counter = KEYS[3], delayed = KEYS[4], active = KEYS[5],
  events = KEYS[6], marker = KEYS[7], prioritized = KEYS[8], priorities = KEYS[9], answers = {}, encoded = {},
}
-- Returns the stored text of options: before the job's id, and behind it or false if the id is not in the options.
function t.encode(t, text)
  local stored = cjson.encode(cjson.decode(text))
  local from, to = string.find(stored, '\\\\u0001', 1, true)
  local parts = from and { string.sub(stored, 1, from - 1), string.sub(stored, to + 1) } or { stored, false }
  t.encoded[text] = parts
  return parts
end
function t.delayedScore(t, time, delay)
  local due = delay > 0 and time + delay or time
  local first, last = due * 0x1000, (due + 1) * 0x1000 - 1
  local found = redis.call('ZREVRANGEBYSCORE', t.delayed, last, first, 'WITHSCORES', 'LIMIT', 0, 1)
  local latest = tonumber(found[2] or nil)
  if not latest then return first, due end
  return latest >= last and last or latest + 1, due
end
-- BullMQ trims the events after each of them. The trim after the last event of a run does the work of all.
function t.emit(t, maxEvents, ...)
  if maxEvents then
    redis.call('XADD', t.events, 'MAXLEN', '~', maxEvents, '*', 'event', ...)
  else
    redis.call('XADD', t.events, '*', 'event', ...)
  end
end
function t.addOne(t, mayExist, form, id, key, at, maxEvents)
  local call, values = redis.call, ARGV
  if mayExist and call('EXISTS', key) == 1 then return t.emit(t, maxEvents, 'duplicated', 'jobId', id) end
  local delay, priority = '0', '0'
  if form == 'd' or form == 'p' then delay, priority = values[at + 6], values[at + 7] end
  local name, opts, time = values[at + 2], t.encoded[values[at + 4]] or t.encode(t, values[at + 4]), values[at + 5]
  call('HSET', key, 'name', name, 'data', values[at + 3], 'opts', opts[2] and opts[1] .. id .. opts[2] or opts[1],
    'timestamp', time, 'delay', delay, 'priority', priority)
  call('XADD', t.events, '*', 'event', 'added', 'jobId', id, 'name', name)
  if form == 'd' then
    local score, due = t.delayedScore(t, tonumber(time), tonumber(delay))
    call('ZADD', t.delayed, score, id)
    t.hasDelayed = true
    return t.emit(t, maxEvents, 'delayed', 'jobId', id, 'delay', due)
  end
  local list = t[form]
  list[#list + 1] = id
  if form == 'p' then t.ranks[#list] = priority end
  if maxEvents then return t.emit(t, maxEvents, 'waiting', 'jobId', id) end
  call('XADD', t.events, '*', 'event', 'waiting', 'jobId', id)
end
function t.pushAll(t, isPaused, concurrency)
  local call = redis.call
  local first, last, ranked = t.f, t.l, t.p
  if #first > 0 then call('LPUSH', t.wait, unpack(first)) end
  if #last > 0 then call('RPUSH', t.wait, unpack(last)) end
  if #ranked > 0 then
    local top, members = call('INCRBY', t.priorities, #ranked), {}
    for i = 1, #ranked do
      members[2 * i - 1] = t.ranks[i] * 0x100000000 + (top - #ranked + i) % 0x100000000
      members[2 * i] = ranked[i]
    end
    call('ZADD', t.prioritized, unpack(members))
  end
  if #first + #last + #ranked > 0 and not isPaused
    and not (concurrency and call('LLEN', t.active) >= tonumber(concurrency)) then
    call('ZADD', t.marker, 0, '0')
  end
  if t.hasDelayed then
    local due = tonumber(call('ZRANGE', t.delayed, 0, 0, 'WITHSCORES')[2] or nil)
    if due then call('ZADD', t.marker, due / 0x1000, '1') end
  end
end
-- Adds a run: the places of its first values in ARGV, and the places of its answers.
function t.addRun(t, run, places)
  local call, values, prefix = redis.call, ARGV, t.prefix
  local n, given = #run, {}
  local top = call('INCRBY', t.counter, n)
  local meta = call('HMGET', t.meta, 'opts.maxLenEvents', 'paused', 'concurrency')
  if not meta[1] then
    meta[1] = 10000
    call('HSET', t.meta, 'opts.maxLenEvents', meta[1])
  end
  for i = 1, n do
    local id = values[run[i] + 1]
    if id ~= '' then given[#given + 1] = prefix .. id end
  end
  local mayExist, seen = #given > 0 and call('EXISTS', unpack(given)) > 0, {}
  t.f, t.l, t.p, t.ranks, t.hasDelayed = {}, {}, {}, {}, false
  for i = 1, n do
    local at, maxEvents = run[i], i == n and meta[1]
    local id, isKnown = values[at + 1], false
    if id == '' then
      id = (top - n + i) .. ''
    else
      isKnown = mayExist or seen[id]
      seen[id] = true
    end
    local ok, err = pcall(t.addOne, t, isKnown, values[at], id, prefix .. id, at, maxEvents)
    t.answers[places[i]] = ok and id or { type(err) == 'table' and err.err or tostring(err) }
  end
  t.pushAll(t, meta[2], meta[3])
end
local run, places, at, place = {}, {}, 2, 0
while at <= #ARGV do
  place = place + 1
  local form = ARGV[at]
  if own[form] then
    if #run > 0 then
      t.addRun(t, run, places)
      run, places = {}, {}
    end
    local keys, values = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local first = at + 3
    local ok, id = pcall(own[form], { unpack(ARGV, first, first + keys - 1) },
      { unpack(ARGV, first + keys, first + keys + values - 1) })
    t.answers[place] = ok and id or { type(id) == 'table' and id.err or tostring(id) }
    at = first + keys + values
  else
    run[#run + 1], places[#places + 1] = at, place
    at = at + ((form == 'd' or form == 'p') and 8 or 6)
  end
end
if #run > 0 then t.addRun(t, run, places) end
return t.answers
`;
