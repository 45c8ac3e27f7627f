-- Orders: kind B, epoch I7 (of a drain: when the session ends, or 0), player Bc0,
-- reason. They are numbered up to
-- lastOrder without a gap.
local fresh = 0 -- how many of the last ones are new

local function order(kind, p, epoch, why)
  if orders == 512 then
    call('LPOP', KEYS[5])
    orders, suspended = orders - 1, 1
  end
  lastOrder, orders, fresh, dirty = lastOrder + 1, orders + 1, fresh + 1, true
  call('RPUSH', KEYS[5], pack('>BI7Bc0', kind, epoch, #p, p) .. why)
end
-- evict orders an eviction unless the record v of the player has a later seat,
-- or it is queued.
local function evict(p, v, epoch, why)
  if v and unpack('>I7', v) > epoch or who == '' then return end
  if orders > 0 then
    for _, o in ipairs(call('LRANGE', KEYS[5], 0, -1)) do
      local kind, e, q = unpack('>BI7Bc0', o)
      if kind == 1 and e >= epoch and q == p then return end
    end
  end
  order(1, p, epoch, why)
end
local function drainNow(why)
  state, dirty = 2, true
  order(2, '', ends, why)
end
local function queued()
  if orders == 0 then return {} end
  return call('LRANGE', KEYS[5], 0, -1)
end
