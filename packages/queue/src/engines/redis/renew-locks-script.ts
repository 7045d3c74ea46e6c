/**
 * Renews locks as BullMQ's extendLocks does, and returns the ids of the jobs whose lock is lost. The renewing thread has it
 * in place of BullMQ's script, which takes msgpack: the thread then loads no BullMQ.
 *
 * KEYS: the set of jobs that were found without a lock, and the locks. ARGV: the time of a lock in milliseconds, and the id
 * and the token of each lock. While the slot of a cluster moves, a lock can be on either of two masters. Redis then refuses a
 * script if not all of its keys are there; a lock that was not among the keys would be taken for lost.
 */
export const RENEW_LOCKS = `
local lost = {}
for at = 2, #KEYS do
  local id, token = ARGV[2 * at - 2], ARGV[2 * at - 1]
  if redis.call('GET', KEYS[at]) == token then
    redis.call('SET', KEYS[at], token, 'PX', ARGV[1])
    redis.call('SREM', KEYS[1], id)
  else
    lost[#lost + 1] = id
  end
end
return lost`;
