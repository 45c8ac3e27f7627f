-- bury ends the session: seats and holds are free, presence follows by its
-- departures, and it is remembered for an hour.
local function bury(why)
  local all = call('HGETALL', KEYS[3])
  for i = 1, #all, 2 do
    local epoch = unpack('>I7', all[i + 1])
    if epoch > 0 then depart(all[i], epoch, revision) end
  end
  call('DEL', KEYS[3], KEYS[4], KEYS[5])
  state, reason, seated, waiting, holds, orders, lapse, silent, dirty = 3, why, 0, 0, 0, 0, 0, 0, true
  call('ZREM', KEYS[8], ARGV[1])
  local _, place, at = unpack('>I4Bc0', what)
  call('ZREM', KEYS[11], sub(what, 1, at - 1) .. pack('>I7', number) .. ARGV[1])
  if call('HINCRBY', KEYS[9], place, -1) <= 0 then call('HDEL', KEYS[9], place) end
  call('ZADD', KEYS[10], now + 3600000, ARGV[1])
end
