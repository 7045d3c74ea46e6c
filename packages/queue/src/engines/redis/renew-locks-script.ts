/**
 * Renews locks as BullMQ's extendLocks does, and returns the ids of the jobs whose lock is lost. The renewing thread has it
 * in place of BullMQ's script, which takes msgpack: the thread then loads no BullMQ.
 *
 * KEYS: the set of jobs that were found without a lock. ARGV: the start of the lane's keys, the time of a lock in
 * milliseconds, and the id and the token of each lock.
 */
export const RENEW_LOCKS = `
local lost = {}
for at = 3, #ARGV, 2 do
  local lock = ARGV[1] .. ARGV[at] .. ':lock'
  if redis.call('GET', lock) == ARGV[at + 1] then
    redis.call('SET', lock, ARGV[at + 1], 'PX', ARGV[2])
    redis.call('SREM', KEYS[1], ARGV[at])
  else
    lost[#lost + 1] = ARGV[at]
  end
end
return lost`;
