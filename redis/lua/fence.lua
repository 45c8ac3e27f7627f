-- Fence: ARGV 2 epoch, 3 revision, 4 session, 5 place, 6 whether it was reported, 7 the ticket if it is his
-- own.
-- Answers 0 and the evictions that are not queued, session and epoch; or 1 given up
-- or left, 2 older than the newest seat, 3 left, 4 older than the newest join.
local e, rev = tonumber(ARGV[2]), tonumber(ARGV[3])
local same = sub(at, 1, #ARGV[4]) == ARGV[4]
local here = same and epoch == e
local function evictions()
  local answer = {0}
  for _, p in ipairs(x.p) do answer[#answer + 1], answer[#answer + 2] = p[1], p[2] end
  return answer
end
if isGone(e) then return {1} end
if here and state == 1 then
  if rev <= revision then
    return evictions()
  end
  revision = rev
else
  if epoch > e then return {2} end
  if epoch == e and (not here or ARGV[6] ~= 't' or rev <= revision) then return {3} end
  if ARGV[6] ~= 't' and settled > e then return {4} end
  if state == 1 and not same then
    if #x.p == 8 then table.remove(x.p, 1) end
    x.p[#x.p + 1] = {sub(at, 1, 1 + byte(at)), epoch}
  end
  local place = placeNumber(ARGV[5])
  if not place then return {6} end
  state, at, epoch, revision = 1, ARGV[4] .. place, e, rev
  highest = math.max(highest, e)
  if #last > 0 and ARGV[7] ~= '' and sub(last, 8 + byte(last, 7)) == ARGV[7] then last = '' end
end
touched = now + 600000
if not save() then return {5} end
return evictions()
