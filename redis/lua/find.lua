-- Ticket: ARGV 2 key. Answers 0, flags, epoch, version, grant, wish, place.
if not tflags then
  if now < ready then return {'W', ready - now} end
  return {'U'}
end
return {0, tflags, tepoch, version, grant, wish, placeName(sub(wish, -2))}
