/**
 * Before a failed job is retried: forgets how often its workers died, and why it was to fail before it started. BullMQ's
 * own retry leaves both, and the job would fail again at once. A job that is not among the failed ones is left alone.
 * KEYS: the job, the failed set. ARGV: the job's id.
 */
export const renewAttemptsScript = `
if redis.call("ZSCORE", KEYS[2], ARGV[1]) then
  redis.call("HDEL", KEYS[1], "stc", "defa")
  return 1
end
return 0
`;
