-- add keeps a session that is not known, without a lease.
local function full() return call('ZCARD', KEYS[8]) >= 65536 end
local function add(seats, kind)
  known, dirty, was = true, true, -1
  state, suspended, silent, failed, capacity, seated, waiting, holds = 0, 0, 0, 0, seats, 0, 0, 0
  heard, opened, counted, revision, seq, lease, lapse, since = generation, generation, census, 0, 0, 0, 0, 0
  lastOrder, orders, lastLeft, lefts, openedAt, boundAt, ends = 0, 0, 0, 0, now, 0, 0
  who, addr, web, signals, what, drain, reason, left = '', '', '', '', kind, '', '', ''
  number = math.max(tonumber(call('GET', KEYS[12]) or '0') + 1, now * 1000)
  call('SET', KEYS[12], string.format('%.0f', number))
  call('ZADD', KEYS[8], 0, ARGV[1])
  local _, place, at = unpack('>I4Bc0', what)
  call('HINCRBY', KEYS[9], place, 1)
  if byte(what, at) == 0 then call('ZADD', KEYS[11], 0, sub(what, 1, at - 1) .. pack('>I7', number) .. ARGV[1]) end
end
