/** Marks ids as on their way to a lane, unless they are on their way to the other; gives 1 or 0 for each. */
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
