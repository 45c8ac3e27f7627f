-- End: ARGV 2 reason, 3 whether it failed, 4 its server if that says so, 5
-- whether only if empty. Answers fourth whether its server is to be told.
if not known then
  if now < ready then return {'W', ready - now} end
  return {'U'}
end
local answer = {0, '', 0, 0}
local by = ARGV[4]
if by ~= '' and state == 0 then who, dirty, moved = by, true, true end
if by ~= '' and who ~= by then
  answer[1] = 1
elseif state ~= 3 then
  if ARGV[5] == 't' and seated + waiting > 0 then
    answer[1] = 2
  else
    failed = ARGV[3] == 't' and 1 or 0
    bury(ARGV[2])
    if by == '' and who ~= '' then lastOrder, answer[4] = lastOrder + 1, 1 end
  end
end
