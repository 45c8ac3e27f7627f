-- Forgets what is over in a bucket. KEYS: 2 the bucket, 3 the shard's number of
-- records, from 4 on what few records have of the records in ARGV. ARGV: 1 how
-- many tickets, their fields, names of records.
local function over(f)
  local v = call('HGET', KEYS[2], f)
  return v and now >= unpack('>I6', v, 2)
end
local tickets, gone = tonumber(ARGV[1]), 0
for i = 2, tickets + 1 do
  if over(ARGV[i]) then
    call('HDEL', KEYS[2], ARGV[i], '\2' .. sub(ARGV[i], 2))
    gone = gone + 1
  end
end
for i = tickets + 2, #ARGV do
  local p, more = ARGV[i], KEYS[i - tickets + 2]
  local v = call('HGET', KEYS[2], p)
  if v then
    local piece = 2
    while #v == 63 * (piece - 1) + 1 do
      piece, v = piece + 1, sub(v, 1, -2) .. (call('HGET', KEYS[2], string.char(2 + piece) .. p) or '')
    end
    local flags, pos, leftAt, touched, size, x = byte(v), 3, 0, 0, 0, nil
    if flags % 4 ~= 1 then
      if flags % 4 == 2 then pos = pos + 13 + byte(v, pos + 12) end
      if flags % 8 >= 4 then pos = pos + 7 end
      if flags % 16 >= 8 then pos = pos + 7 end
      if flags % 4 == 2 then leftAt, pos = unpack('>I6', v, pos) end
      touched = unpack('>I6', v, pos)
      if flags % 32 >= 16 then
        x = call('GET', more)
        x = x and cmsgpack.unpack(x)
        size = x and #x.p or 0
      end
      if now >= touched and (flags % 4 == 0 or now - leftAt > 86400000) and size == 0 then
        call('HDEL', KEYS[2], p, '\4' .. p, '\5' .. p, '\6' .. p)
        call('DEL', more)
        call('DECR', KEYS[3])
        gone = gone + 1
      end
    end
  end
end
return {0, gone}
