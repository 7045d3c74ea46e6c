/**
 * Removes from a failed job the count of its dead workers, and a failure that was decided before a start. BullMQ's own retry
 * leaves both, and the job would fail again at once. A job that is not failed stays as it is.
 * KEYS: the job, the failed set. ARGV: the job's id.
 */
export const renewAttemptsScript = `
if redis.call("ZSCORE", KEYS[2], ARGV[1]) then
  redis.call("HDEL", KEYS[1], "stc", "defa")
  return 1
end
return 0
`;
