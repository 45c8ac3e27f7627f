-- Places are numbers in players' records. KEYS[6] has, for the shard, names to
-- numbers and # and numbers to names.
local function placeNumber(name)
  local n = call('HGET', KEYS[6], name)
  if not n then
    n = call('HLEN', KEYS[6]) / 2 + 1
    if n > 65535 then return nil end
    call('HSET', KEYS[6], name, n, '#' .. n, name)
  end
  return pack('>I2', tonumber(n))
end
local function placeName(number) return call('HGET', KEYS[6], '#' .. unpack('>I2', number)) or '' end
