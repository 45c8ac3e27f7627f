-- Arena: tag on a field of 64 by 64 metres. For every GROUP players one is
-- "it". He who is it touches another one and passes it on; for a second after
-- that nobody can be tagged back. A second without being it is a point, and
-- so are five for a tag.
local field = require("scripts/field")

local SPEED = 6       -- metres a second
local REACH = 1.2     -- how near a touch is, metres
local GRACE = 1       -- seconds in which one who was just tagged cannot tag
local GROUP = 10      -- players for each one who is it
local TAG_POINTS = 5
local MOST_POINTS = 10000

local avatar = world.kind("avatar", {
  x = {type = "number", min = 0, max = field.SIZE, precision = 1/64},
  y = {type = "number", min = 0, max = field.SIZE, precision = 1/64},
  angle = {type = "number", min = -math.pi, max = math.pi, precision = 1/32},
  it = {type = "bool"},
  score = {type = "integer", min = 0, max = MOST_POINTS},
  name = {type = "string", max = 24},
}, {speed = SPEED, radius = field.RADIUS, turns = true}) -- so that screens show one's own steps at once

-- Pillars never move; players' screens draw what they bump into.
local pillar = world.kind("pillar", {
  x = {type = "number", min = 0, max = field.SIZE, precision = 1/64},
  y = {type = "number", min = 0, max = field.SIZE, precision = 1/64},
  radius = {type = "number", min = 0, max = 8, precision = 1/8},
}, {solid = true})
for _, p in ipairs(field.pillars) do
  world.spawn(pillar, {x = p.x, y = p.y, radius = p.r})
end

-- A body is what the script knows of a player: plain numbers, so that the
-- entity is touched only when something changes.
local bodies = {}

-- it_count is how many are it now.
local it_count = 0

local function set_it(body, it)
  if body.it ~= it then
    body.it = it
    body.entity.it = it
    it_count = it_count + (it and 1 or -1)
  end
end

-- assign makes as many it as the number of players asks for: who has the
-- fewest points, the earliest first.
local function assign()
  local want = math.ceil(#bodies / GROUP)
  if #bodies < 2 then
    want = 0
  end
  while it_count < want do
    local pick
    for _, b in ipairs(bodies) do
      if not b.it and (not pick or b.points < pick.points) then
        pick = b
      end
    end
    pick.safe_until = place.time + GRACE
    set_it(pick, true)
  end
  for i = #bodies, 1, -1 do
    if it_count <= want then break end
    set_it(bodies[i], false)
  end
end

local function add_points(body, points)
  body.points = math.min(body.points + points, MOST_POINTS)
  body.entity.score = math.floor(body.points)
end

place.on("join", function(player)
  local x, y = field.free()
  local body = {
    player = player, x = x, y = y, it = false, points = 0, safe_until = 0, angle = 0,
    entity = world.spawn(avatar, {x = x, y = y, name = player.name}, player),
  }
  player.state.body = body
  bodies[#bodies + 1] = body
  assign()
end)

place.on("leave", function(player)
  local body = player.state.body
  for i, b in ipairs(bodies) do
    if b == body then
      table.remove(bodies, i)
      break
    end
  end
  set_it(body, false)
  body.entity:remove()
  assign()
end)

-- touch is called for every two bodies that are near each other.
local function touch(a, b, dx, dy, d2)
  if a.it ~= b.it then
    local it, other = a, b
    if b.it then it, other = b, a end
    local now = place.time
    if now >= it.safe_until and now >= other.safe_until then
      set_it(it, false)
      set_it(other, true)
      other.safe_until = now + GRACE
      it.safe_until = now + GRACE
      add_points(it, TAG_POINTS)
    end
  end
  local far = 2 * field.RADIUS
  if d2 < far * far then
    local ux, uy = 1, 0 -- two in the same spot: along x
    local d = math.sqrt(d2)
    if d > 0 then ux, uy = dx / d, dy / d end
    local push = (far - d) / 2 * field.PUSH
    a.x, a.y = a.x + ux * push, a.y + uy * push
    b.x, b.y = b.x - ux * push, b.y - uy * push
  end
end

local next_points = 1 -- when a second is over

place.on("tick", function(dt)
  local step = SPEED * dt
  for i = 1, #bodies do
    local b = bodies[i]
    local input = b.player.input
    local mx, my = input.move_x, input.move_y
    if mx ~= 0 or my ~= 0 then
      local long = mx * mx + my * my
      if long > 1 then
        long = math.sqrt(long)
        mx, my = mx / long, my / long
      end
      b.x, b.y = b.x + mx * step, b.y + my * step
      local angle = math.atan2(my, mx)
      if angle ~= b.angle then
        b.angle = angle
        b.entity.angle = angle
      end
    end
  end
  for i = 1, #bodies do
    local b = bodies[i]
    b.x, b.y = field.inside(b.x, b.y)
  end
  field.touching(bodies, REACH, touch)
  local points = place.time >= next_points
  if points then next_points = next_points + 1 end
  for i = 1, #bodies do
    local b = bodies[i]
    b.x, b.y = field.inside(b.x, b.y)
    local e = b.entity
    e.x, e.y = b.x, b.y
    if points and not b.it then add_points(b, 1) end
  end
end)
