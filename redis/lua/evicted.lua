-- Evicted: ARGV 2 session, 3 epoch.
local e, rest = tonumber(ARGV[3]), {}
for _, p in ipairs(x.p) do
  if p[2] ~= e or p[1] ~= ARGV[2] then rest[#rest + 1] = p end
end
if known and #rest < #x.p then
  x.p = rest
  save()
end
return {0}
