/**
 * Removes jobs that have ended, and returns their ids. BullMQ's own command removes a job in any state, so a job that was
 * retried a moment before would be lost. The event is BullMQ's.
 * KEYS: the start of the lane's keys, the completed set, the failed set, the cancelled set, the events, the metadata.
 * ARGV: the ids.
 */
export const removeEndedScript = `
local prefix, completed, failed, cancelled, events, meta = unpack(KEYS)
local removed = {}
for i = 1, #ARGV do
  local id = ARGV[i]
  local key, prev = prefix .. id, nil
  if redis.call('ZREM', completed, id) == 1 then prev = 'completed' end
  if redis.call('ZREM', failed, id) == 1 then prev = 'failed' end
  if prev then
    local holds = redis.call('HGET', key, 'deid')
    if holds and redis.call('GET', prefix .. 'de:' .. holds) == id then
      redis.call('DEL', prefix .. 'de:' .. holds, prefix .. 'dn:' .. holds)
    end
    redis.call('ZREM', cancelled, id)
    redis.call('DEL', key, key .. ':logs', key .. ':dependencies', key .. ':processed', key .. ':failed', key .. ':unsuccessful')
    redis.call('XADD', events, 'MAXLEN', '~', redis.call('HGET', meta, 'opts.maxLenEvents') or 10000, '*',
      'event', 'removed', 'jobId', id, 'prev', prev)
    removed[#removed + 1] = id
  end
end
return removed
`;
