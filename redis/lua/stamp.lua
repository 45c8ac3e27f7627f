-- Stamp: ARGV[1] the nonce that may be replaced, because its scripts are gone.
-- ARGV[2] a census that is known of. It is the only script that a missing or foreign
-- stamp does not stop.
local call, pack, unpack = redis.call, struct.pack, struct.unpack
local now = CLOCK
if not now then
  now = call('TIME')
  now = now[1] * 1000 + math.floor(now[2] / 1000)
end
local nonce, generation, at, ready, began, census, pruned, bucket = '', 0, 0, 0, 0, 0, 0, 0
local stamp = call('GET', KEYS[1])
if stamp then
  nonce, generation, at, ready, began, census, pruned, bucket = unpack('>c8I4I6I6I6I6I6B', stamp)
  if nonce ~= NONCE and nonce ~= ARGV[1] then return {'N', nonce} end
end
local fresh = 0
census = math.max(census, tonumber(ARGV[2]))
if nonce ~= NONCE or now - at > 2000 or at - now > 2000 then
  fresh = 1
  generation, began, ready = generation + 1, now, now + QUARANTINE
  census = math.max(census + 1, now)
end
-- One of the processes that stamp prunes one bucket of players a second.
local prune = -1
if now - pruned >= 1000 or pruned > now then
  prune, pruned = bucket, now
  bucket = (bucket + 1) % 256
end
call('SET', KEYS[1], pack('>c8I4I6I6I6I6I6B', NONCE, generation, now, ready, began, census, pruned, bucket))
return {0, now, generation, fresh, ready, began, prune, census}
