-- Bazaar: walk over coins to earn gold, into a stall to buy there, and into other
-- players to trade: whoever has more apples sells one for 4 gold. With button 1
-- down you buy nothing and do not trade.
--
-- What a player owns is in the ledger: it is his in every session of the bazaar,
-- and no crash takes or doubles any of it. What he did here is in player.data,
-- which is saved now and then.
local SIZE = 32        -- metres
local SPEED = 6        -- metres a second
local REACH = 1.25     -- how near is a touch, metres
local COINS = 80       -- on the ground at a time
local WORTH = 5        -- gold
local PRICE = 4        -- of an apple between players
local PAUSE = 1        -- seconds between two deals of a player

local avatar = world.kind("avatar", {
  x = {type = "number", min = 0, max = SIZE, precision = 1/64},
  y = {type = "number", min = 0, max = SIZE, precision = 1/64},
  name = {type = "string", max = 48},
  score = {type = "integer", min = 0, max = 1000000}, -- gold
  apples = {type = "integer", min = 0, max = 999},
  carpets = {type = "integer", min = 0, max = 1000},
})
local coin = world.kind("coin", {
  x = {type = "number", min = 0, max = SIZE, precision = 1/64},
  y = {type = "number", min = 0, max = SIZE, precision = 1/64},
  radius = {type = "number", min = 0, max = 4, precision = 1/8},
})
local stall = world.kind("stall", {
  x = {type = "number", min = 0, max = SIZE, precision = 1/64},
  y = {type = "number", min = 0, max = SIZE, precision = 1/64},
  radius = {type = "number", min = 0, max = 4, precision = 1/8},
  name = {type = "string", max = 24},
})

local stalls = {
  {x = 8, y = 8, offer = "apple", price = 3}, {x = 24, y = 24, offer = "apple", price = 3}, {x = 24, y = 8, offer = "carpet", price = 40},
}
for _, s in ipairs(stalls) do
  world.spawn(stall, {x = s.x, y = s.y, radius = 2, name = s.offer})
end

local coins = {} -- x, y, entity
local people = {}

local function drop()
  local c = {x = 1 + math.random() * (SIZE - 2), y = 1 + math.random() * (SIZE - 2)}
  c.entity = world.spawn(coin, {x = c.x, y = c.y, radius = 0.25})
  coins[#coins + 1] = c
end
for _ = 1, COINS do
  drop()
end

local function near(a, b, reach)
  local dx, dy = a.x - b.x, a.y - b.y
  return dx * dx + dy * dy < reach * reach
end

-- show puts what the ledger says into the world. owned has what changed.
local function show(p, owned)
  for name, count in pairs(owned) do
    local kind, one = name:match("^([^#]+)#?(.*)$")
    if one ~= "" then
      p.carpets = p.carpets + count
    else
      p[kind] = count
    end
  end
  p.entity.score, p.entity.apples, p.entity.carpets = p.gold, p.apple, p.carpets
  p.entity.name = p.player.name .. " (" .. p.gold .. " gold, " .. p.apple .. " apples" ..
    (p.carpets > 0 and ", " .. p.carpets .. " carpets" or "") .. ")"
end

-- refresh asks the ledger for everything.
local function refresh(p)
  ledger.balance(p.player, function(ok, items)
    if ok and not p.player.left then
      p.gold, p.apple, p.carpets, p.ready = 0, 0, 0, true
      show(p, items)
    end
  end)
end

-- deal starts something with p, who starts nothing else until it is answered.
local function deal(p, post)
  p.busy = true
  post(function(ok, answer, code)
    p.busy, p.next = false, place.time + PAUSE
    if p.player.left then
      return
    elseif ok then
      if p.player.data then
        p.player.data.deals = (p.player.data.deals or 0) + 1
      end
      refresh(p)
    elseif code ~= "full" then
      print(p.player.name .. ": " .. answer .. " (" .. code .. ")")
      refresh(p)
    end
  end)
end

local function earn(p)
  deal(p, function(done) ledger.reward(p.player, {gives = {gold = WORTH}}, done) end)
end

local function buy(p, offer)
  deal(p, function(done) ledger.purchase(p.player, {offer = offer}, done) end)
end

local function trade(seller, buyer)
  buyer.busy = true
  deal(seller, function(done)
    ledger.trade(seller.player, buyer.player, {gives = {apple = 1}, takes = {gold = PRICE}}, function(...)
      buyer.busy, buyer.next = false, place.time + PAUSE
      if not buyer.player.left then
        refresh(buyer)
      end
      done(...)
    end)
  end)
end

place.on("join", function(player)
  local p = {
    player = player, x = 1 + math.random() * (SIZE - 2), y = 1 + math.random() * (SIZE - 2),
    gold = 0, apple = 0, carpets = 0, next = 0, busy = false, ready = false,
  }
  p.entity = world.spawn(avatar, {x = p.x, y = p.y, name = player.name}, player)
  player.state.p = p
  people[#people + 1] = p
end)

place.on("data", function(player)
  local p = player.state.p
  if player.data_state == "ready" then
    player.data.visits = (player.data.visits or 0) + 1
    refresh(p) -- his wallet is this session's from here on
  elseif player.data_state == "lost" then
    p.ready = false
  end
end)

place.on("leave", function(player)
  local p = player.state.p
  for i, other in ipairs(people) do
    if other == p then
      table.remove(people, i)
      break
    end
  end
  p.entity:remove()
end)

local function free(p)
  return p.ready and not p.busy and place.time >= p.next
end

local function move(p, dt)
  local input = p.player.input
  local mx, my = input.move_x, input.move_y
  local long = math.sqrt(mx * mx + my * my)
  if long > 0 then
    local step = SPEED * dt / math.max(long, 1)
    p.x = math.clamp(p.x + mx * step, 0, SIZE)
    p.y = math.clamp(p.y + my * step, 0, SIZE)
    p.entity.x, p.entity.y = p.x, p.y
  end
end

local function business(p)
  for i, c in ipairs(coins) do
    if near(p, c, REACH) then
      c.entity:remove()
      table.remove(coins, i)
      drop()
      earn(p)
      return
    end
  end
  if p.player.input.pressed(1) then
    return
  end
  for _, s in ipairs(stalls) do
    if p.gold >= s.price and near(p, s, 2) then
      buy(p, s.offer)
      return
    end
  end
  for _, other in ipairs(people) do
    if other ~= p and free(other) and p.apple > other.apple and other.gold >= PRICE and near(p, other, REACH) then
      trade(p, other)
      return
    end
  end
end

place.on("tick", function(dt)
  for _, p in ipairs(people) do
    move(p, dt)
  end
  for _, p in ipairs(people) do
    if free(p) then
      business(p)
    end
  end
end)
