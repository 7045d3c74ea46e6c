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
 * stored text has Lua's order of the keys, as BullMQ's has.
 *
 * The answer has for each job its id, the negative code of BullMQ's script, or a list with the text of an error.
 */
export const addScript = `
local call, prefix = redis.call, ARGV[1]
local wait, metaKey, counter, delayed, active, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local marker, prioritized, priorities = KEYS[7], KEYS[8], KEYS[9]
${bullFunction("addStandardJob")}
${bullFunction("addDelayedJob")}
${bullFunction("addPrioritizedJob")}
local own = { addStandardJob = addStandardJob, addDelayedJob = addDelayedJob, addPrioritizedJob = addPrioritizedJob }
local answers, encoded = {}, {}
local function encode(text)
  local known = encoded[text]
  if not known then
    known = cjson.encode(cjson.decode(text))
    encoded[text] = known
  end
  return known
end
local function delayedScore(time, delay)
  local due = delay > 0 and time + delay or time
  local first, last = due * 0x1000, (due + 1) * 0x1000 - 1
  local latest = tonumber(call('ZREVRANGEBYSCORE', delayed, last, first, 'WITHSCORES', 'LIMIT', 0, 1)[2] or nil)
  if not latest then return first, due end
  return latest >= last and last or latest + 1, due
end
-- BullMQ trims the events after each of them. The trim after the last event of a run does the work of all.
local function emit(maxEvents, ...)
  if maxEvents then
    call('XADD', events, 'MAXLEN', '~', maxEvents, '*', 'event', ...)
  else
    call('XADD', events, '*', 'event', ...)
  end
end
local pushes
local function addOne(mayExist, form, id, key, at, maxEvents)
  if mayExist and call('EXISTS', key) == 1 then return emit(maxEvents, 'duplicated', 'jobId', id) end
  local delay, priority = '0', '0'
  if form == 'd' or form == 'p' then delay, priority = ARGV[at + 6], ARGV[at + 7] end
  local name, time = ARGV[at + 2], ARGV[at + 5]
  call('HSET', key, 'name', name, 'data', ARGV[at + 3], 'opts', encode(ARGV[at + 4]),
    'timestamp', time, 'delay', delay, 'priority', priority)
  call('XADD', events, '*', 'event', 'added', 'jobId', id, 'name', name)
  if form == 'd' then
    local score, due = delayedScore(tonumber(time), tonumber(delay))
    call('ZADD', delayed, score, id)
    pushes.hasDelayed = true
    emit(maxEvents, 'delayed', 'jobId', id, 'delay', due)
    return
  end
  local list = pushes[form]
  list[#list + 1] = id
  if form == 'p' then pushes.priorities[#list] = priority end
  emit(maxEvents, 'waiting', 'jobId', id)
end
local function isBlocked(meta)
  if meta[2] then return true end
  return meta[3] and call('LLEN', active) >= tonumber(meta[3])
end
local function pushAll(meta)
  local first, last, ranked = pushes.f, pushes.l, pushes.p
  if #first > 0 then call('LPUSH', wait, unpack(first)) end
  if #last > 0 then call('RPUSH', wait, unpack(last)) end
  if #ranked > 0 then
    local top, members = call('INCRBY', priorities, #ranked), {}
    for i = 1, #ranked do
      members[2 * i - 1] = pushes.priorities[i] * 0x100000000 + (top - #ranked + i) % 0x100000000
      members[2 * i] = ranked[i]
    end
    call('ZADD', prioritized, unpack(members))
  end
  if #first + #last + #ranked > 0 and not isBlocked(meta) then call('ZADD', marker, 0, '0') end
  if pushes.hasDelayed then
    local due = tonumber(call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2] or nil)
    if due then call('ZADD', marker, due / 0x1000, '1') end
  end
end
local function addRun(run)
  local top = call('INCRBY', counter, #run)
  local meta = call('HMGET', metaKey, 'opts.maxLenEvents', 'paused', 'concurrency')
  if not meta[1] then
    meta[1] = 10000
    call('HSET', metaKey, 'opts.maxLenEvents', meta[1])
  end
  local given = {}
  for i = 1, #run do
    local id = ARGV[run[i].at + 1]
    if id ~= '' then given[#given + 1] = prefix .. id end
  end
  local mayExist, seen = #given > 0 and call('EXISTS', unpack(given)) > 0, {}
  pushes = { f = {}, l = {}, p = {}, priorities = {} }
  for i = 1, #run do
    local at, maxEvents = run[i].at, i == #run and meta[1]
    local id = ARGV[at + 1]
    local isGiven = id ~= ''
    if not isGiven then id = (top - #run + i) .. '' end
    local key = prefix .. id
    local ok, err = pcall(addOne, isGiven and (seen[id] or mayExist), ARGV[at], id, key, at, maxEvents)
    seen[id] = true
    answers[run[i].place] = ok and id or { type(err) == 'table' and err.err or tostring(err) }
  end
  pushAll(meta)
end
local run, at, place = {}, 2, 0
local function flush()
  if #run > 0 then addRun(run) end
  run = {}
end
while at <= #ARGV do
  place = place + 1
  local form = ARGV[at]
  if own[form] then
    flush()
    local keys, values = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local first = at + 3
    local ok, id = pcall(own[form], { unpack(ARGV, first, first + keys - 1) },
      { unpack(ARGV, first + keys, first + keys + values - 1) })
    answers[place] = ok and id or { type(id) == 'table' and id.err or tostring(id) }
    at = first + keys + values
  else
    run[#run + 1] = { at = at, place = place }
    at = at + ((form == 'd' or form == 'p') and 8 or 6)
  end
end
flush()
return answers
`;
