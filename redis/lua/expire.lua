-- Expire: ARGV 2 the end of the lease that was seen, 3 reason or ''. Answers as
-- End does, or 1: the lease is another one.
local answer = {0, '', 0, 0}
if not known then return {'U'} end
local anew = began + (state == 0 and 30000 or 15000)
local finish = generation > opened and anew > lease and anew or lease
if state == 3 or silent == 1 or lease ~= tonumber(ARGV[2]) or finish > now then
  answer[1] = 1
elseif ARGV[3] == '' then
  suspended, silent, dirty = 1, 1, true
else
  bury(ARGV[3])
  if who ~= '' then lastOrder, answer[4] = lastOrder + 1, 1 end
end
