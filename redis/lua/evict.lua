-- Evict: ARGV 2 player, 3 epoch, 4 reason. Orders are answered fourth and fifth.
if not known or state == 3 then return {'U'} end
local answer = {0}
evict(ARGV[2], call('HGET', KEYS[3], ARGV[2]), tonumber(ARGV[3]), ARGV[4])
answer[4], answer[5] = fresh, queued()
