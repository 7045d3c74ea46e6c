/** The keys of a lane that the scripts of the journal use, by their names in the queue, in order. */
export const JOURNAL_KEYS = [
  "tl-woken",
  "tl-runs",
  "wait",
  "active",
  "prioritized",
  "delayed",
  "paused",
  "meta",
  "pc",
  "events",
  "marker",
  "stalled",
  "limiter",
] as const;

/**
 * The Lua functions that all scripts of the journal share. The first value of each script is the prefix of the lane's keys.
 *
 * A run has, beside the keys of its job: the hash `ID:tl-run` (b: the timestamp of the job, e: epoch, g: generation, r:
 * number of consumed items, d: deaths, o: the owner's token or "", v: view), the lists `ID:tl-log` and `ID:tl-in` of entries
 * and unread items, and the list `ID:tl-keys` of the keys of deliveries. The lane has the set `tl-runs` of the runs with a
 * journal, and the set `tl-woken` of the runs with unread items.
 *
 * The timestamp shows whether the journal belongs to the stored job, or to an earlier job of the same id.
 */
export const runLua: string = `
local call = redis.call
local prefix = ARGV[1]
local function drop(job)
  call('DEL', job .. ':tl-run', job .. ':tl-log', job .. ':tl-in', job .. ':tl-keys')
end
-- Returns a run, or nil if there is no job. The journal of an earlier job of the same id is dropped.
local function load(id)
  local job = prefix .. id
  local facts = call('HMGET', job, 'timestamp', 'finishedOn', 'ats')
  if not facts[1] then return nil end
  local head = call('HMGET', job .. ':tl-run', 'b', 'e', 'g', 'r', 'd', 'o')
  local run = { id = id, job = job, log = job .. ':tl-log', inbox = job .. ':tl-in', hasEnded = facts[2],
    hasStarted = (tonumber(facts[3]) or 0) > 0, changes = {} }
  if head[1] == facts[1] then
    run.epoch, run.generation, run.read = tonumber(head[2]), tonumber(head[3]), tonumber(head[4])
    run.deaths, run.owner = tonumber(head[5]), head[6]
  else
    if head[1] then drop(job) end
    run.isNew, run.epoch, run.generation, run.read, run.deaths, run.owner = true, 0, 0, 0, 0, ''
    run.changes = { 'b', facts[1], 'e', '0', 'g', '0', 'r', '0', 'd', '0', 'o', '' }
  end
  return run
end
local function set(run, field, value)
  local changes = run.changes
  changes[#changes + 1], changes[#changes + 2] = field, value
end
local function save(run)
  if run.isNew then call('SADD', KEYS[2], run.id) end
  if #run.changes > 0 then call('HSET', run.job .. ':tl-run', unpack(run.changes)) end
end
local function consume(run, count)
  if count <= run.read then return end
  call('LTRIM', run.inbox, count - run.read, -1)
  run.read = count
  set(run, 'r', count)
  if call('EXISTS', run.inbox) == 0 then call('SREM', KEYS[1], run.id) end
end
-- Returns the number of unread items, and those from the given number on.
local function unread(run, known)
  local count = call('LLEN', run.inbox)
  local first = math.max(0, known - run.read)
  if first >= count then return count, {} end
  return count, call('LRANGE', run.inbox, first, first + PAGE - 1)
end
local function push(key, first, last)
  for at = first, last, 1000 do
    call('RPUSH', key, unpack(ARGV, at, math.min(at + 999, last)))
  end
end
`;

/** BullMQ's own command that makes a delayed job wait, for a run of the lane. */
export const PROMOTE = `
local function promote(id)
  return bull.promote({ KEYS[6], KEYS[3], KEYS[7], KEYS[8], KEYS[5], KEYS[4], KEYS[9], KEYS[10], KEYS[11] },
    { prefix, id }) == 0
end
`;
