import { JOURNAL_PAGE, KEPT_KEYS, MAX_UNREAD } from "../../../contract/run-journal.ts";
import { bullFunction } from "../driver/bullmq-texts.ts";
import { PROMOTE, runLua } from "./run-lua.ts";

const shared = runLua.replaceAll("PAGE", String(JOURNAL_PAGE));

/** Delivers items. Values: the id, the start of the channels of owners, the lane, 1 and the key or 0 and "", the items. */
export const deliverScript = (): string => `${shared}
local bull = {}
${bullFunction("bull", "promote")}
${PROMOTE}
local id, items = ARGV[2], #ARGV - 6
local run = load(id)
if not run then return { 'gone' } end
if run.hasEnded then return { 'ended' } end
local count = call('LLEN', run.inbox)
local keys = run.job .. ':tl-keys'
if ARGV[5] == '1' and call('LPOS', keys, ARGV[6]) then return { 'stored', count } end
if count + items > ${MAX_UNREAD} then return { 'full' } end
push(run.inbox, 7, #ARGV)
if items > 0 then call('SADD', KEYS[1], id) end
if ARGV[5] == '1' then
  call('RPUSH', keys, ARGV[6])
  call('LTRIM', keys, -${KEPT_KEYS}, -1)
end
save(run)
local lock = call('GET', run.job .. ':lock')
if lock then
  local worker = string.match(lock, '^(.*):%d+$') or lock
  call('PUBLISH', ARGV[3] .. worker, cjson.encode({ lane = ARGV[4], id = id }))
elseif run.hasStarted then
  promote(id)
end
return { 'stored', count + items }
`;

/**
 * Promotes parked runs with unread items. Values: ids of runs that had unread items. Answers with the number of promoted
 * runs.
 */
export const sweepScript = (): string => `${shared}
local bull = {}
${bullFunction("bull", "promote")}
${PROMOTE}
local promoted = 0
for at = 2, #ARGV do
  local id = ARGV[at]
  local run = load(id)
  if not run or run.hasEnded or call('EXISTS', run.inbox) == 0 then
    call('SREM', KEYS[1], id)
  elseif run.hasStarted and call('EXISTS', run.job .. ':lock') == 0 and call('ZSCORE', KEYS[6], id) and promote(id) then
    promoted = promoted + 1
  end
end
return promoted
`;

/** Removes the journals of jobs that are gone. Values: the ids. */
export const forgetScript = `
local prefix = ARGV[1]
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
for at = 2, #ARGV do
  local job = prefix .. ARGV[at]
  if redis.call('EXISTS', job) == 0 then
    redis.call('DEL', job .. ':tl-run', job .. ':tl-log', job .. ':tl-in', job .. ':tl-keys')
    redis.call('SREM', KEYS[1], ARGV[at])
    redis.call('SREM', KEYS[2], ARGV[at])
  end
end
return 1
`;

/** Reads heads. Values: the ids. Answers with a list for each, which is empty without a journal. */
export const headsScript = `
local answers = {}
for at = 2, #ARGV do
  local job = ARGV[1] .. ARGV[at]
  local head = redis.call('HMGET', job .. ':tl-run', 'b', 'e', 'g', 'r', 'd', 'v')
  if head[1] and redis.call('HGET', job, 'timestamp') == head[1] then
    answers[at - 1] = { head[2], head[3], redis.call('LLEN', job .. ':tl-log'), head[4],
      redis.call('LLEN', job .. ':tl-in'), head[5], { head[6] } }
  else
    answers[at - 1] = {}
  end
end
return answers
`;

/** Reads views. Values: the ids. */
export const viewsScript = `
local answers = {}
for at = 2, #ARGV do
  local job = ARGV[1] .. ARGV[at]
  local head = redis.call('HMGET', job .. ':tl-run', 'b', 'v')
  answers[at - 1] = head[1] and redis.call('HGET', job, 'timestamp') == head[1] and head[2]
end
return answers
`;

/** Reads entries or items. Values: the id, "log" or "in", the first one and their number. */
export const readScript = `
local job, from, count = ARGV[1] .. ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local head = redis.call('HMGET', job .. ':tl-run', 'b', 'r')
if not head[1] or redis.call('HGET', job, 'timestamp') ~= head[1] or count < 1 then return {} end
if ARGV[3] == 'in' then from = math.max(0, from - tonumber(head[2])) end
return redis.call('LRANGE', job .. ':tl-' .. ARGV[3], from, from + count - 1)
`;
