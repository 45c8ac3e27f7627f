-- Claim: ARGV 2 key, 3 whether he is the caller, 4 region, 5 version, 6 wish, 7 place, 8 the
-- highest epoch that is known elsewhere.
-- Answers: 0 epoch; 1 epoch, epoch of the grant, grant; 2 other content; 3 given
-- up; 4 too many tickets, ms until one is forgotten; 5 too many players.
local function nextEpoch()
  local ms = math.max(now - 1577836800000, 0)
  highest = math.max(ms, math.floor(math.max(highest, epoch, tonumber(ARGV[8])) / 256) + 1) * 256 + tonumber(ARGV[4])
  return highest
end
local place = placeNumber(ARGV[7])
if not place then return {6} end
local wanted = ARGV[6] .. place
if tflags then
  if wish ~= wanted then return {2} end
  if tflags % 2 == 1 then return {1, tepoch, version, grant} end
  if tflags % 4 >= 2 then return {3} end
  version = tonumber(ARGV[5])
else
  if n >= 128 then
    -- Count those that live, and forget the oldest that was not settled.
    local all, count, oldest, least, soonest = call('HGETALL', KEYS[2]), 0, nil, nil, nil
    for i = 1, #all, 2 do
      local f = all[i]
      if byte(f) == 1 and sub(f, 2, 6) == sub(K, 1, 5) then
        local flags, untl, e = unpack('>BI6I7', all[i + 1])
        if now < untl then
          count = count + 1
          if flags % 2 == 0 and (not least or e < least) then oldest, least = f, e end
          if not soonest or untl < soonest then soonest = untl end
        end
      end
    end
    n = math.min(count, 255)
    if count >= 128 then
      if not oldest then return {4, soonest - now} end
      call('HDEL', KEYS[2], oldest, '\2' .. sub(oldest, 2))
      n = n - 1
    end
  end
  n = n + 1
  tflags, tepoch, version, grant, released, wish = 0, nextEpoch(), tonumber(ARGV[5]), '', '', wanted
end
till, touched = now + 600000, now + 600000
if not keep() then return {5} end
keepTicket()
call(spread(set))
return {0, tepoch}
