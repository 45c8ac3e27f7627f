-- Coin rush: collect coins in a maze, and dash into others so that they drop
-- theirs. A dash (button 1, the space bar) takes all of your strength, the bar
-- below you, which comes back within three seconds. A round takes two minutes.
local maze = require("scripts/maze")

local SPEED, DASH = 6, 22        -- metres a second
local DASH_TIME, REST = 0.18, 3  -- seconds of a dash; until the next one
local RADIUS, COIN = 0.5, 0.35   -- metres
local COINS = 30                 -- that lie about, at most
local DROPS = 3                  -- coins that one loses who is run into
local ROUND, PAUSE = 120, 6      -- seconds

local space = physics.space(2)
maze.build(space)

local runner = world.kind("runner", {
  x = {type = "number", min = 0, max = maze.SIZE, precision = 1/64},
  y = {type = "number", min = 0, max = maze.SIZE, precision = 1/64},
  angle = {type = "number", min = -math.pi, max = math.pi, precision = 1/32},
  health = {type = "integer", min = 0, max = 100}, -- strength for a dash
  score = {type = "integer", min = 0, max = 1000},
  it = {type = "bool"},                            -- has just been run into
  name = {type = "string", max = 24},
}, {speed = SPEED, radius = RADIUS, turns = true}) -- a dash is seen when the server says so

local coin = world.kind("coin", {
  x = {type = "number", min = 0, max = maze.SIZE, precision = 1/16},
  y = {type = "number", min = 0, max = maze.SIZE, precision = 1/16},
  radius = {type = "number", min = 0, max = 1, precision = 1/32},
})

local coins, playing = 0, true

local function drop(x, y)
  local e = world.spawn(coin, {x = x, y = y, radius = COIN})
  space:circle(x, y, COIN, {group = "coin", data = e})
  coins = coins + 1
end

-- take gives a player the coins that he stands on.
local function take(me)
  for _, body in ipairs(space:overlap_circle(me.body.x, me.body.y, RADIUS, {group = "coin"})) do
    body.data:remove()
    body:remove()
    coins = coins - 1
    me.entity.score = me.entity.score + 1
  end
end

-- hit has a player who was run into drop coins, and keeps him from the next
-- blow for a second.
local function hit(me, other)
  local e = other.entity
  if e.it then return end
  e.it = true
  timer.after(1, function()
    if not e.removed then e.it = false end
  end)
  local lost = math.min(DROPS, e.score)
  e.score = e.score - lost
  for n = 1, lost do
    local a = n / lost * 2 * math.pi
    -- As far as there is no wall in between.
    local _, x, y = space:raycast(other.body.x, other.body.y, other.body.x + 3 * math.cos(a), other.body.y + 3 * math.sin(a), {group = "wall"})
    drop(other.body.x + (x - other.body.x) * 0.8, other.body.y + (y - other.body.y) * 0.8)
  end
  events.emit("hit", me, other, lost)
end

place.on("join", function(player)
  local x, y = maze.free()
  local me = {player = player, dash = 0, rest = 0}
  me.body = space:circle(x, y, RADIUS, {group = "runner", data = me})
  me.entity = world.spawn(runner, {x = x, y = y, name = player.name, health = 100}, player)
  player.state.me = me
end)

place.on("leave", function(player)
  local me = player.state.me
  for _ = 1, math.min(me.entity.score, DROPS) do
    drop(me.body.x, me.body.y)
  end
  me.body:remove()
  me.entity:remove()
end)

local function step(me, input, dt)
  local dx, dy, speed = input.move_x, input.move_y, SPEED
  local moves = dx ~= 0 or dy ~= 0
  if input.pressed(1) and me.rest <= 0 and moves then
    me.dash, me.rest = DASH_TIME, REST
    local length = math.sqrt(dx * dx + dy * dy)
    me.dash_x, me.dash_y = dx / length, dy / length
  end
  me.rest = math.max(me.rest - dt, 0)
  if me.dash > 0 then
    me.dash = me.dash - dt
    dx, dy, speed = me.dash_x, me.dash_y, DASH
    for _, body in ipairs(space:overlap_circle(me.body.x, me.body.y, 2 * RADIUS, {group = "runner", skip = me.body})) do
      hit(me, body.data)
    end
  end
  local e = me.entity
  e.x, e.y = space:move(me.body, dx * speed * dt, dy * speed * dt, {group = "wall"})
  if moves then e.angle = math.atan2(dy, dx) end
  e.health = 100 * (1 - me.rest / REST)
  take(me)
end

place.on("tick", function(dt)
  if not playing then return end
  for _, player in ipairs(players.all()) do
    step(player.state.me, player.input, dt)
  end
end)

-- Coins come one by one, more of them the more players there are.
timer.every(0.4, function()
  if playing and coins < math.min(COINS, 6 + 2 * players.count()) then
    drop(maze.free())
  end
end)

-- A round ends, everybody looks at the points, and it begins anew.
local function round()
  playing = true
  for _, player in ipairs(players.all()) do
    player.state.me.entity.score = 0
  end
  timer.after(ROUND, function()
    playing = false
    local best
    for _, player in ipairs(players.all()) do
      local e = player.state.me.entity
      if not best or e.score > best.score then best = e end
    end
    if best then print(best.name .. " wins with " .. best.score .. " coins") end
    timer.after(PAUSE, round)
  end)
end
place.on("start", round)

events.on("hit", function(me, other, lost)
  if lost > 0 then print(me.player.name .. " ran into " .. other.player.name .. ": " .. lost .. " coins") end
end)
