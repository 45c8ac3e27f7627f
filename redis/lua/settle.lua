-- Settle: ARGV 2 key, 3 epoch, 4 grant, 5 what stands for it as the last one, 6
-- version, 7 place. Answers 0, epoch, grant, released, version, place; or 1 not
-- claimed, 2 given up, 3 older.
if not tflags then return {1} end
local place
if tflags % 2 == 0 then
  if tflags % 4 >= 2 then return {2} end
  local e = tonumber(ARGV[3])
  if settled > e or epoch > e then return {3} end
  if #last > 0 and now < unpack('>I6', last) then
    released, tflags = sub(last, 7), tflags + 4
  end
  local g = ARGV[4]
  if tonumber(ARGV[6]) == version and sub(wish, -2) == placeNumber(ARGV[7]) then
    place = ARGV[7]
  else
    g = string.char(byte(g) + 8) .. sub(g, 2) .. pack('>I4Bc0', tonumber(ARGV[6]), #ARGV[7], ARGV[7])
  end
  grant, tflags, tepoch, settled = g, tflags + 1, e, e
  last = pack('>I6', now + 600000) .. ARGV[5]
end
till, touched = now + 600000, now + 600000
if not keep() then return {5} end
keepTicket()
call(spread(set))
return {0, tepoch, grant, released, version, place or placeName(sub(wish, -2))}
