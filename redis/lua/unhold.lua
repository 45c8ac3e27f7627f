-- Unhold: ARGV 2 key, 3 the only player, or ''.
local answer = {0}
if known and holds > 0 then
  local hold = call('HGET', KEYS[4], ARGV[2])
  if hold and ARGV[3] == '' then
    drop(ARGV[2], hold)
    if holds == 0 then lapse = 0 end
  elseif hold then
    local mine, rest = find(hold, ARGV[3])
    if mine then
      close(ARGV[2], hold, mine, rest)
      letgo(ARGV[3])
      dirty = true
    end
  end
end
