-- A player's script begins here. KEYS: 2 the bucket of his record, 3 what few
-- records have, 4 the rest of a long ticket, 5 the shard's number of records, 6 its places.
-- ARGV[1] is his name in the bucket. Values there have at most 64 bytes, so that
-- the bucket stays packed: one of 64 goes on in another field after its 63rd byte. codec.go has the
-- layouts.
local P = ARGV[1]
local n, state, highest, settled, epoch, revision, leftAt, touched = 0, 0, 0, 0, 0, 0, 0, 0
local at, more, last, known, pieces = '', false, '', false, 1
-- where is the bucket's field of the ith piece of a value.
local function where(i, name) return i == 1 and name or string.char(2 + i) .. name end
do
  local v = call('HGET', KEYS[2], P)
  if v then
    known = true
    while #v == 64 * pieces - pieces + 1 do
      pieces = pieces + 1
      v = sub(v, 1, -2) .. (call('HGET', KEYS[2], where(pieces, P)) or '')
    end
    local flags, pos
    flags, n, pos = unpack('>BB', v)
    state = flags % 4
    if state > 0 then epoch, revision, at, pos = unpack('>I7I5Bc0', v, pos) end
    highest, settled = epoch, epoch
    if flags % 8 >= 4 then highest, pos = unpack('>I7', v, pos) end
    if flags % 16 >= 8 then settled, pos = unpack('>I7', v, pos) end
    if flags >= 32 then settled = 0 end
    if state == 2 then leftAt, pos = unpack('>I6', v, pos) end
    if state ~= 1 then touched, pos = unpack('>I6', v, pos) end
    more = flags % 32 >= 16
    last = sub(v, pos)
    if #last > 0 and now >= unpack('>I6', last) then last = '' end
    if state == 2 and now - leftAt > 86400000 then state, epoch, revision, at = 0, 0, 0, '' end
  end
end
local set = {'HSET', KEYS[2]}
-- keep puts the record into set. False: the shard has too many.
local function keep()
  if not known then
    if call('INCR', KEYS[5]) > 262144 then
      call('DECR', KEYS[5])
      return false
    end
  end
  local flags, v = state, ''
  if state > 0 then v = pack('>I7I5Bc0', epoch, revision, #at, at) end
  if highest ~= epoch then flags, v = flags + 4, v .. pack('>I7', highest) end
  if settled ~= epoch and settled > 0 then flags, v = flags + 8, v .. pack('>I7', settled) end
  if state == 2 then v = v .. pack('>I6', leftAt) end
  if state ~= 1 then v = v .. pack('>I6', touched) end
  if more then flags = flags + 16 end
  if settled == 0 and epoch > 0 then flags = flags + 32 end
  v = pack('>BB', flags, n) .. v .. last
  local i = 1
  while #v > 63 do
    set[#set + 1], set[#set + 2] = where(i, P), sub(v, 1, 63) .. '+'
    i, v = i + 1, sub(v, 64)
  end
  set[#set + 1], set[#set + 2] = where(i, P), v
  for j = i + 1, pieces do call('HDEL', KEYS[2], where(j, P)) end
  return true
end
