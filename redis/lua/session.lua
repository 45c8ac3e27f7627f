-- A session's script begins here, and once holds.lua ran it must end in save.lua:
-- what lapsed is gone from the holds, and the session has to say so. KEYS: 2 the session, 3 its players, 4 its
-- holds, 5 its orders; of the shard: 6 index, 7 changes, and for few scripts 8
-- IDs, 9 places, 10 ended ones, 11 pools, 12 the newest session's number. ARGV[1] is the session's ID. codec.go has the layouts.
local HEAD = '>BBBBBBBI2I2I4I4I6I6I6I6I6I6I6I2I6I2I6I6I7I6'
local TAIL = '>Bc0Bc0I2c0I2c0Bc0I2c0I2c0'
local _, state, suspended, silent, failed, capacity, seated, waiting, holds, heard, opened, counted, revision, seq
local lease, lapse, since, lastOrder, orders, lastLeft, lefts, openedAt, boundAt, number, ends
local who, addr, web, signals, what, drain, reason, left
local known, dirty, moved, was, had = false, false, false, -1, -1
local raw = call('GET', KEYS[2])
if raw then
  local at
  _, state, suspended, silent, failed, capacity, seated, waiting, holds, heard, opened, counted, revision, seq,
    lease, lapse, since, lastOrder, orders, lastLeft, lefts, openedAt, boundAt, number, ends, at = unpack(HEAD, raw)
  who, addr, web, signals, what, drain, reason, at = unpack(TAIL, raw, at)
  left = sub(raw, at)
  known = true
end
-- What others are told of when it changes: what they can't do without, and how
-- many are in.
local function shown()
  local joinable = state < 2 and suspended == 0 and drain == '' and (QUARANTINE == 0 or heard == generation)
  return state * 2 + (joinable and 1 or 0), seated * 65536 + waiting
end
if known then was, had = shown() end
