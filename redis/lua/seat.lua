-- Seat: ARGV from 2 on, for each request: who asks, player, epoch, revision, key. It
-- answers for each: 0 he sits there, 1 not on this server or over, 2 a later epoch
-- sits there, 3 left since, 4 all taken, 5 the hold lapsed and there is no room, 6
-- it has to report first.
local answer, out = {0, '', 0}, 3
local reports = not known or state ~= 3 and QUARANTINE > 0 and heard ~= generation
local function sit(by, p, epoch, rev, k)
  if reports then return 6 end
  if state == 3 or who ~= by or who == '' then return 1 end
  local v = call('HGET', KEYS[3], p)
  local cur = seat(v)
  if cur == epoch then return 0 end
  if cur > epoch then return 2 end
  if rev <= revision then return 3 end
  if cur == 0 and seated >= capacity then return 4 end
  if not v and (state ~= 1 or capacity - seated - waiting <= 0) then return 5 end
  take(p, v, epoch, rev, k)
  return 0
end
for i = 2, #ARGV, 5 do
  out = out + 1
  answer[out] = sit(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), ARGV[i + 4])
end
