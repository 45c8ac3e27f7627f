-- Left: ARGV 2 epoch, 3 revision, 4 session.
-- Answers 0 and, of the newest seat, the evictions that are not queued, session and epoch.
local answer = {0}
local e = tonumber(ARGV[2])
highest = math.max(highest, e)
if e >= epoch then
  for _, p in ipairs(x.p) do answer[#answer + 1], answer[#answer + 2] = p[1], p[2] end
  if state == 1 and sub(at, 1, #ARGV[4]) == ARGV[4] then
    -- A seat of this session at an older epoch was replaced by it.
    state, epoch, revision, leftAt = 2, e, math.max(revision, tonumber(ARGV[3])), now
  elseif e > epoch then
    -- It was never confirmed here: an older seat elsewhere stays in force, and
    -- a confirm that is still under way comes too late.
    give(e)
  end
end
touched = now + 600000
save()
return answer
