-- Seated: ARGV 2 the player. Answers fourth the epoch of his seat. Refusals: R it has to report
-- first, W it may still do so.
if not known then
  local reports = began + QUARANTINE + 15000
  if now < reports then return {'W', reports - now} end
  return {0, '', 0, 0}
end
local answer = {0}
if state ~= 3 and QUARANTINE > 0 and heard ~= generation then
  answer[1] = 'R'
else
  answer[4] = seat(call('HGET', KEYS[3], ARGV[2]))
end
