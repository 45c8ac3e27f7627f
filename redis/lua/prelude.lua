-- Every script begins here. The store puts before it: NONCE (of the generation
-- that it was loaded for), NEED (0 always, 1 live, 2 grants), QUARANTINE (ms)
-- and CLOCK
-- (ms; nil but in tests). KEYS[1] is the shard's stamp.
local spread = unpack -- of tables; from here on unpack is struct's
local call, pack, unpack, byte, sub = redis.call, struct.pack, struct.unpack, string.byte, string.sub
local now = CLOCK
if not now then
  now = call('TIME')
  now = now[1] * 1000 + math.floor(now[2] / 1000)
end
local generation, began, ready, census, live = 0, 0, 0, 0, false
local stamp = call('GET', KEYS[1])
if stamp then
  local nonce, at
  nonce, generation, at, ready, began, census = unpack('>c8I4I6I6I6I6', stamp)
  if nonce ~= NONCE then return {'N', nonce} end
  live = now - at <= 2000 and at - now <= 2000
end
if NEED > 0 and not live then return {'W', 1000} end
if NEED > 1 and now < ready then return {'W', ready - now} end
