-- Forgets an ended session, by its ID in ARGV[1] and with ARGV[2] 1 also before
-- its time. KEYS as for sessions.
local at = call('ZSCORE', KEYS[10], ARGV[1])
if at and (tonumber(at) <= now or ARGV[2] == '1') then
  call('DEL', KEYS[2])
  call('HDEL', KEYS[6], ARGV[1])
  call('ZREM', KEYS[10], ARGV[1])
end
return {0}
