-- Claim for a member of somebody else's ticket: ARGV 2 key, 4 region, 8 the highest
-- epoch that is known elsewhere. Answers as the caller's.
touched = now + 600000
local e
for _, c in ipairs(x.c) do
  if c[1] == ARGV[2] then c[3], e = now + 600000, c[2] end
end
if not e then
  if #x.c >= 128 then table.remove(x.c, 1) end
  local ms = math.max(now - 1577836800000, 0)
  e = math.max(ms, math.floor(math.max(highest, epoch, tonumber(ARGV[8])) / 256) + 1) * 256 + tonumber(ARGV[4])
  highest = e
  x.c[#x.c + 1] = {ARGV[2], e, now + 600000}
end
if not save() then return {5} end
return {0, e}
