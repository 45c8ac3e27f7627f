-- Tickets: flags B (1 settled, 2 given up, 4 it has released something), until I6,
-- epoch I7, version I3, then what was granted and released I2c0 I2c0, the wish.
local K = ARGV[2]
local tflags, till, tepoch, version, grant, released, wish
do
  local v = call('HGET', KEYS[2], '\1' .. K)
  if v and #v == 64 then
    v = sub(v, 1, 63) .. (call('HGET', KEYS[2], '\2' .. K) or '')
    if #v == 127 then v = sub(v, 1, 126) .. (call('GET', KEYS[4]) or '') end
  end
  if v then
    local pos
    tflags, till, tepoch, version, pos = unpack('>BI6I7I3', v)
    grant, released = '', ''
    if tflags % 2 == 1 then grant, pos = unpack('>Bc0', v, pos) end
    if #grant == 255 then
      local rest
      rest, pos = unpack('>I2c0', v, pos)
      grant = grant .. rest
    end
    if tflags >= 4 then released, pos = unpack('>Bc0', v, pos) end
    wish = sub(v, pos)
    if now >= till then tflags = nil end
  end
end
-- keepTicket puts the ticket into set.
local function keepTicket()
  local v = pack('>BI6I7I3', tflags, till, tepoch, version)
  if tflags % 2 == 1 then
    if #grant < 255 then
      v = v .. pack('>Bc0', #grant, grant)
    else
      v = v .. pack('>Bc0', 255, sub(grant, 1, 255)) .. pack('>I2c0', #grant - 255, sub(grant, 256))
    end
  end
  if tflags >= 4 then v = v .. pack('>Bc0', #released, released) end
  v = v .. wish
  local rest = ''
  if #v > 126 then
    rest = sub(v, 127)
    v = sub(v, 1, 126) .. '+'
    call('SET', KEYS[4], rest, 'PX', 1200000)
  end
  set[#set + 1], set[#set + 2] = '\1' .. K, v
  if #v > 63 then set[#set], set[#set + 1], set[#set + 2] = sub(v, 1, 63) .. '+', '\2' .. K, sub(v, 64) end
end
