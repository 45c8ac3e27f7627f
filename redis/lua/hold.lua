-- Hold: ARGV from 2 on, for each request: key, epochs, names. It answers for each:
-- heldAt I6, till I6, epochs of a hold; or a number: 1 it is known with others,
-- 2 no more players, 3 not until the server is heard, 4 no room.
if not known or state == 3 then return {'U'} end
local answer, out = {0, '', 0}, 3
local trusted = QUARANTINE == 0 or heard == generation
local anew = began + (state == 0 and 30000 or 15000)
local finish = generation > opened and anew > lease and anew or lease

local function hold(k, epochs, names)
  local n = #epochs / 7
  local h = call('HGET', KEYS[4], k)
  if h then
    local m = byte(h, 13)
    if m ~= n or sub(h, 14 + 8 * m) ~= names then return 1 end
    return sub(h, 1, 12) .. sub(h, 14, 13 + 7 * m)
  end
  if state == 2 or drain ~= '' then return 2 end
  if suspended == 1 or not trusted or finish <= now then return 3 end
  local need, at, players, recs = 0, 1, {}, {}
  for i = 1, n do
    local len = byte(names, at)
    players[i] = sub(names, at + 1, at + len)
    recs[i] = call('HGET', KEYS[3], players[i])
    if not recs[i] then need = need + 1 end
    at = at + 1 + len
  end
  if need > capacity - seated - waiting and need > 0 or holds >= 1024 then return 4 end
  local till = 0
  if state ~= 0 then
    till = now + 10000
    if lapse == 0 or till < lapse then lapse = till end
  end
  for i = 1, n do
    local v = recs[i]
    if not v then
      v, waiting = pack('>I7I5I2', 0, 0, 1), waiting + 1
    elseif #v > 12 then
      v = sub(v, 1, 12) .. pack('>I2', unpack('>I2', v, 13) + 1)
    else
      v = v .. pack('>I2', 1)
    end
    call('HSET', KEYS[3], players[i], v)
  end
  local times = pack('>I6I6', now, till)
  call('HSET', KEYS[4], k, times .. string.char(n) .. epochs .. string.rep('\1', n) .. names)
  holds, dirty = holds + 1, true
  return times .. epochs
end
for i = 2, #ARGV, 3 do
  out = out + 1
  answer[out] = hold(ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
