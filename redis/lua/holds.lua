-- Holds: heldAt I6, till I6 (0: not running), n B, n epochs I7, n bytes (1:
-- open), n names. Players: epoch I7 (0: no seat), revision I5, holds I2 if any.

-- letgo takes one hold from a player's count.
local function letgo(p)
  local v = call('HGET', KEYS[3], p)
  if not v or #v <= 12 then return end
  local n = unpack('>I2', v, 13)
  if n > 1 then
    call('HSET', KEYS[3], p, sub(v, 1, 12) .. pack('>I2', n - 1))
  elseif unpack('>I7', v) > 0 then
    call('HSET', KEYS[3], p, sub(v, 1, 12))
  else
    call('HDEL', KEYS[3], p)
  end
  if n == 1 and unpack('>I7', v) == 0 then waiting = waiting - 1 end
end
-- drop ends a hold.
local function drop(k, hold)
  local n = byte(hold, 13)
  local at = 14 + 8 * n
  for i = 1, n do
    local len = byte(hold, at)
    if byte(hold, 13 + 7 * n + i) == 1 then letgo(sub(hold, at + 1, at + len)) end
    at = at + 1 + len
  end
  call('HDEL', KEYS[4], k)
  holds = holds - 1
  dirty = true
end
if known and lapse > 0 and now >= lapse then
  lapse, dirty = 0, true
  local all = call('HGETALL', KEYS[4])
  for i = 1, #all, 2 do
    local till = unpack('>I6', all[i + 1], 7)
    if till > 0 and now >= till then
      drop(all[i], all[i + 1])
    elseif till > 0 and (lapse == 0 or till < lapse) then
      lapse = till
    end
  end
end
