import { JOURNAL_PAGE } from "../../../contract/run-journal.ts";
import { bullFunction } from "../driver/bullmq-texts.ts";
import { runLua } from "./run-lua.ts";

const shared = runLua.replaceAll("PAGE", String(JOURNAL_PAGE));

/** Takes the epoch of a run. Values: the id, the token, the first entry. Answers nothing to a caller without the lock. */
export const openScript: string = `${shared}
local id, token, from = ARGV[2], ARGV[3], tonumber(ARGV[4])
if call('GET', prefix .. id .. ':lock') ~= token then return false end
local run = load(id)
if not run or run.hasEnded then return false end
if run.owner ~= token then
  if run.owner ~= '' then
    run.deaths = run.deaths + 1
    set(run, 'd', run.deaths)
  end
  run.epoch = run.epoch + 1
  set(run, 'e', run.epoch)
  set(run, 'o', token)
end
save(run)
local count, items = unread(run, 0)
return { run.epoch, run.generation, call('LLEN', run.log), run.read, count, run.deaths,
  { call('HGET', run.job .. ':tl-run', 'v') },
  call('LRANGE', run.log, from, from + ${JOURNAL_PAGE - 1}), items }
`;

/**
 * Appends to runs. Values for each: the id, epoch, generation, position, number of consumed items, number of known items, 1
 * and the view or 0 and "", the number of entries, the entries.
 *
 * A run that was opened by nobody has no owner, until its first append. Its next owner sees by the lock's token whether that
 * owner has died.
 */
export const appendScript: string = `${shared}
local function short(run, length)
  local count, items = unread(run, 0)
  return { 1, run.generation, length, call('LINDEX', run.log, -1) or '', run.read, count, items }
end
local function append(at)
  local run = load(ARGV[at])
  if not run then return { 2 } end
  local epoch, generation = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local position, consumed, known = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local entries = tonumber(ARGV[at + 8])
  if epoch < run.epoch or generation < run.generation then return { 2 } end
  local length = call('LLEN', run.log)
  local isRepeat = generation == run.generation and entries > 0 and position < length
    and call('LINDEX', run.log, position + entries - 1) == ARGV[at + 8 + entries]
  if not isRepeat then
    if run.hasEnded or (generation == run.generation and position < length) then return { 2 } end
    if epoch > run.epoch then set(run, 'e', epoch) end
    if run.owner == '' then set(run, 'o', call('GET', run.job .. ':lock') or '?') end
    if generation > run.generation or position > length then
      save(run)
      return short(run, length)
    end
    push(run.log, at + 9, at + 8 + entries)
    if run.deaths > 0 and (entries > 0 or consumed > run.read) then set(run, 'd', 0) end
    if ARGV[at + 6] == '1' then set(run, 'v', ARGV[at + 7]) end
  end
  consume(run, consumed)
  save(run)
  local count, items = unread(run, known)
  return { 0, count, items }
end
local answers, at = {}, 2
while at <= #ARGV do
  answers[#answers + 1] = append(at)
  at = at + 9 + tonumber(ARGV[at + 8])
end
return answers
`;

/**
 * Parks a run with BullMQ's own code behind a look at the inbox. Values: the id, token, epoch, generation, number of known
 * items, current time and delay.
 */
export const parkScript = (): string => `${shared}
local bull = {}
${bullFunction("bull", "moveToDelayed")}
local id, token = ARGV[2], ARGV[3]
if call('GET', prefix .. id .. ':lock') ~= token then return 'lost' end
local run = load(id)
if not run or tonumber(ARGV[4]) < run.epoch or tonumber(ARGV[5]) < run.generation then return 'lost' end
if run.read + call('LLEN', run.inbox) > tonumber(ARGV[6]) then return 'news' end
local moved = bull.moveToDelayed(
  { KEYS[11], KEYS[4], KEYS[5], KEYS[6], run.job, KEYS[10], KEYS[8], KEYS[12], KEYS[3], KEYS[13], KEYS[9] },
  { prefix, ARGV[7], id, token, ARGV[8], '1', '', '0', '' })
if moved ~= 0 then return 'lost' end
set(run, 'o', '')
save(run)
return 'parked'
`;

/** Records that an owner has handed a run back. Values: the id, the epoch. */
export const releaseScript: string = `${shared}
local run = load(ARGV[2])
if run and run.epoch == tonumber(ARGV[3]) and run.owner ~= '' then
  set(run, 'o', '')
  save(run)
end
return 1
`;

/**
 * Begins the next generation of a run. Values: the id, token, epoch, generation, number of consumed items, data, and the
 * name or "".
 */
export const continueScript: string = `${shared}
local id, epoch, generation = ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
if call('GET', prefix .. id .. ':lock') ~= ARGV[3] then return 0 end
local run = load(id)
if not run or epoch < run.epoch then return 0 end
if generation == run.generation - 1 then return 1 end
if generation ~= run.generation then return 0 end
call('DEL', run.log)
set(run, 'e', epoch)
set(run, 'g', generation + 1)
set(run, 'd', 0)
consume(run, tonumber(ARGV[6]))
save(run)
call('HSET', run.job, 'data', ARGV[7])
if ARGV[8] ~= '' then call('HSET', run.job, 'name', ARGV[8]) end
return 1
`;
