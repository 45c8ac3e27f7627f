-- Leave: ARGV 2 key, 3 whether he is the caller, 4 epoch or 0, 5 whether the
-- caller gives it up for him. Answers 0, epoch of the seat or 0, its session and
-- place, whether there is a grant, its epoch, the grant, version, place.
local e, answer = tonumber(ARGV[4]), {0, 0, '', 0, 0, '', 0, ''}
if ARGV[3] == 't' then
  if not tflags then
    if now < ready then return {'W', ready - now} end
    return {'U'}
  end
  if tflags % 4 < 2 then
    tflags = tflags + 2
    keepTicket()
  end
  if tflags % 2 == 1 then answer[4], answer[5], answer[6], answer[7], answer[8] = 1, tepoch, grant, version, placeName(sub(wish, -2)) end
  e = tepoch
elseif e == 0 then
  for _, c in ipairs(x.c) do
    if c[1] == K then e = c[2] end
  end
end
if e > 0 then
  local playing = state == 1 and epoch == e
  if not (playing and ARGV[5] == 't') then
    give(e)
    if playing then answer[2], answer[3] = e, sub(at, 1, 1 + byte(at)) end
  end
end
touched = math.max(touched, now + 600000)
if not save() then return {5} end
return answer
