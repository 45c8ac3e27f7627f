-- seat takes a player's record apart: the epoch of his seat (0: none), its
-- revision, and how many holds name him.
local function seat(v)
  if not v then return 0, 0, 0 end
  local epoch, rev = unpack('>I7I5', v)
  return epoch, rev, #v > 12 and unpack('>I2', v, 13) or 0
end
-- find returns where in a hold the player's open part is, and how many other
-- open parts there are.
local function find(hold, p)
  local n, mine, rest = byte(hold, 13), nil, 0
  local at = 14 + 8 * n
  for i = 1, n do
    local len = byte(hold, at)
    if byte(hold, 13 + 7 * n + i) == 1 then
      if len == #p and sub(hold, at + 1, at + len) == p then mine = 13 + 7 * n + i else rest = rest + 1 end
    end
    at = at + 1 + len
  end
  return mine, rest
end
-- close takes a player's part out of a hold, which ends with the last one.
local function close(k, hold, mine, rest)
  if rest > 0 then
    call('HSET', KEYS[4], k, sub(hold, 1, mine - 1) .. '\0' .. sub(hold, mine + 1))
    return
  end
  call('HDEL', KEYS[4], k)
  holds = holds - 1
  if holds == 0 then lapse = 0 end
end
-- take seats a player whose record is v.
local function take(p, v, epoch, rev, k)
  local had, _, n = seat(v)
  if had == 0 then
    seated = seated + 1
    if n > 0 then waiting = waiting - 1 end
  end
  if holds > 0 and n > 0 then
    local hold = call('HGET', KEYS[4], k)
    if hold then
      local mine, rest = find(hold, p)
      if mine then
        close(k, hold, mine, rest)
        n = n - 1
      end
    end
  end
  call('HSET', KEYS[3], p, pack('>I7I5', epoch, rev) .. (n > 0 and pack('>I2', n) or ''))
  dirty = true
end
-- vacate frees the seat of a player whose record is v.
local function vacate(p, v)
  local had, _, n = seat(v)
  if had == 0 then return end
  seated = seated - 1
  if n > 0 then
    waiting = waiting + 1
    call('HSET', KEYS[3], p, pack('>I7I5I2', 0, 0, n))
  else
    call('HDEL', KEYS[3], p)
  end
  dirty = true
end
