-- Unseat: ARGV 2 player, 3 epoch.
local answer = {0}
if known then
  local v = call('HGET', KEYS[3], ARGV[2])
  local cur, rev = seat(v)
  if cur > 0 and cur == tonumber(ARGV[3]) then
    vacate(ARGV[2], v)
    depart(ARGV[2], cur, rev)
  end
end
