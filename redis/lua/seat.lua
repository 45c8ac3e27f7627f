-- Seat: ARGV 2 who asks, 3 player, 4 epoch, 5 revision, 6 key. Refusals: R it has to
-- report first, 1 not on
-- this server or over, 2 a later epoch sits there, 3 left since, 4 all taken, 5
-- the hold lapsed and there is no room.
local answer = {0}
local p, epoch = ARGV[3], tonumber(ARGV[4])
if not known or state ~= 3 and QUARANTINE > 0 and heard ~= generation then
  answer[1] = 'R'
elseif state == 3 or who ~= ARGV[2] or who == '' then
  answer[1] = 1
else
  local v = call('HGET', KEYS[3], p)
  local cur, _, n = seat(v)
  if cur == epoch then
  elseif cur > epoch then
    answer[1] = 2
  elseif tonumber(ARGV[5]) <= revision then
    answer[1] = 3
  elseif cur == 0 and seated >= capacity then
    answer[1] = 4
  elseif not v and (state ~= 1 or capacity - seated - waiting <= 0) then
    answer[1] = 5
  else
    take(p, v, epoch, tonumber(ARGV[5]), ARGV[6])
  end
end
