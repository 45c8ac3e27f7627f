-- publish drops the departures that reached the players' records.
local function publish(upTo)
  if lefts == 0 then return end
  local done = math.min(upTo - (lastLeft - lefts), lefts)
  if done <= 0 then return end
  local at = 1
  for _ = 1, done do at = at + 14 + byte(left, at + 13) end
  left, lefts = sub(left, at), lefts - done
  since, dirty = lefts > 0 and now or 0, true
end
