/**
 * The part of the turn's script that delivers the ends of the turn to durable runs, behind all ends and before the claim.
 *
 * The delivery itself is the text of the journal's script, so it has the same result as a command of its own. An end is
 * stored by then, so a delivery that fails is only missing in the answer.
 *
 * The values, behind those of the ends, are: the prefix of all lanes, the start of the channels of owners, for each delivery
 * the number of its end, the lane, the run, the key and the item, and at last the number of deliveries.
 *
 * @param deliver the text of the script that delivers to one run.
 * @param keys the names of the keys of a lane that it takes.
 */
export const deliveriesLua = (deliver: string, keys: readonly string[]): string => `
function t.deliver(KEYS, ARGV)
${deliver}
end
function t.deliverAll(t)
  local values, refused = ARGV, {}
  for i = 1, #t.refusals, 2 do refused[t.refusals[i]] = true end
  local root, channel = values[t.last + 1], values[t.last + 2]
  for at = t.last + 3, #values - 1, 5 do
    local number, lane = tonumber(values[at]), values[at + 1]
    if not refused[number] then
      local base, own = root .. lane .. ':', { ${keys.map((name) => `'${name}'`).join(", ")} }
      for i = 1, #own do own[i] = base .. own[i] end
      local given = { base, values[at + 2], channel, lane, '1', values[at + 3], values[at + 4] }
      if pcall(t.deliver, own, given) then t.delivered[#t.delivered + 1] = number end
    end
  end
end
t.deliverAll(t)
`;
