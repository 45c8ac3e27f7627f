-- From here to every.lua is run for each of several players of the shard. KEYS: 2 the bucket of the
-- first, 3 what few records have, 5 the number of records, 6 places; 7 and on: 2 and 3
-- of the others. ARGV: for each, seven as fence.lua has them.
local all, told, numbers, added, count = KEYS, ARGV, {}, 0, tonumber(call('GET', KEYS[5]) or '0')
-- first makes the record of a player who has none: after a loss most have none.
local function first(bucket, i)
  local name, epoch, place = told[i], tonumber(told[i + 1]), told[i + 4]
  local number = numbers[place] or placeNumber(place)
  numbers[place] = number
  if not number or count + added >= 262144 then return end
  local at = told[i + 3] .. number
  local v = pack('>BBI7I5Bc0', 33, 0, epoch, tonumber(told[i + 2]), #at, at)
  if #v > 63 or call('HSETNX', bucket, name, v) == 0 then return end
  added = added + 1
  return 0
end
local function one(KEYS, ARGV)
