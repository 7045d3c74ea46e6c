/** Claims ids for a lane and returns 1 for each, or 0 for an id that the other lane has claimed. */
export const claimLaneScript: string = `
local lane, milliseconds = unpack(ARGV)
local answers = {}
for at, key in ipairs(KEYS) do
  local holder = redis.call('GET', key)
  if not holder or holder == lane then
    redis.call('SET', key, lane, 'PX', milliseconds)
    answers[at] = 1
  else
    answers[at] = 0
  end
end
return answers
`;
