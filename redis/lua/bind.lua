-- ARGV: 2 who speaks, 3 address, 4 web address, 5 revision, 6 orders done, 7
-- attributes of the place's signals.
local trusts = QUARANTINE == 0 or live and now >= ready

-- done drops the orders that were carried out. A server that did more than were
-- given got them from a store that was lost: what is queued is numbered past them.
local function done()
  local upTo = tonumber(ARGV[6])
  if upTo > lastOrder then
    lastOrder = upTo + orders
  elseif orders > 0 then
    local n = math.min(upTo - (lastOrder - orders), orders)
    if n > 0 then
      call('LTRIM', KEYS[5], n, -1)
      orders, fresh = orders - n, math.min(fresh, orders - n)
    end
  end
end
-- bind gives a Starting session to its first server, and its holds their time.
-- Of one that is older than the generation, holds may be lost: their tokens are
-- good from now on, so nothing is held in it until they are not (see complete).
local function bind()
  if state ~= 0 then return end
  done()
  state, boundAt, who, addr, dirty = 1, now, ARGV[2], ARGV[3], true
  if opened == generation then heard = generation end
  if holds > 0 then
    lapse = now + 10000
    local all = call('HGETALL', KEYS[4])
    for i = 1, #all, 2 do
      call('HSET', KEYS[4], all[i], sub(all[i + 1], 1, 6) .. pack('>I6', lapse) .. sub(all[i + 1], 13))
    end
  end
  if drain ~= '' then drainNow(drain) end
end
-- complete says whether all who may be on the way are known once the server reports,
-- when something is held again.
local function complete() return opened == generation or math.max(now, ready) >= boundAt + QUARANTINE end
-- wants says whether the server has to report: what is known of its seats may not be
-- complete, or what is known of its players.
local function wants() return QUARANTINE > 0 and (heard ~= generation or counted < census) end
-- hears says whether the session is this server's: 0 yes, 1 it ended, 2 it is
-- another's. If it is, its lease begins anew and what it says counts.
local function hears()
  if state == 3 then return 1 end
  if who ~= ARGV[2] or who == '' then return 2 end
  if web ~= ARGV[4] or signals ~= ARGV[7] then web, signals, moved = ARGV[4], ARGV[7], true end
  silent, lease, dirty = 0, now + 15000, true
  done()
  return 0
end
