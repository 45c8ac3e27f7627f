-- The field: a square with pillars. Bodies are circles; walls and pillars are
-- hard, bodies push each other softly.
local field = {
  SIZE = 64,    -- metres
  RADIUS = 0.5, -- of a body, metres
  PUSH = 0.5,   -- how much of an overlap one tick undoes
}

local SIZE, RADIUS = field.SIZE, field.RADIUS
local LOW, HIGH = RADIUS, SIZE - RADIUS

-- Pillars are circles: x, y, radius.
field.pillars = {
  {x = 16, y = 16, r = 3}, {x = 48, y = 16, r = 3},
  {x = 16, y = 48, r = 3}, {x = 48, y = 48, r = 3},
  {x = 32, y = 32, r = 5},
}

-- Which pillars can touch a body in a cell of 4 by 4 metres, so that nobody
-- looks at all of them.
local CELL = 4
local WIDTH = SIZE / CELL
local near = {}
for cy = 0, WIDTH - 1 do
  for cx = 0, WIDTH - 1 do
    local list = false
    for _, p in ipairs(field.pillars) do
      local dx = p.x - math.clamp(p.x, cx * CELL, cx * CELL + CELL)
      local dy = p.y - math.clamp(p.y, cy * CELL, cy * CELL + CELL)
      local reach = p.r + RADIUS
      if dx * dx + dy * dy < reach * reach then
        list = list or {}
        list[#list + 1] = p
      end
    end
    near[cy * WIDTH + cx + 1] = list
  end
end

local floor, sqrt = math.floor, math.sqrt

local function cell(x, y)
  return floor(y / CELL) * WIDTH + floor(x / CELL) + 1
end

-- inside moves a point out of walls and pillars.
function field.inside(x, y)
  if x < LOW then x = LOW elseif x > HIGH then x = HIGH end
  if y < LOW then y = LOW elseif y > HIGH then y = HIGH end
  local list = near[cell(x, y)]
  if list then
    for i = 1, #list do
      local p = list[i]
      local dx, dy = x - p.x, y - p.y
      local reach = p.r + RADIUS
      local d2 = dx * dx + dy * dy
      if d2 < reach * reach then
        if d2 > 0 then
          local scale = reach / sqrt(d2)
          x, y = p.x + dx * scale, p.y + dy * scale
        else
          x = p.x + reach -- in the very middle: any side is as good
        end
      end
    end
  end
  return x, y
end

-- free finds a place without a pillar.
function field.free()
  local x = LOW + math.random() * (HIGH - LOW)
  local y = LOW + math.random() * (HIGH - LOW)
  return field.inside(x, y)
end

-- The grid of bodies for pairs: cells of 2 metres, at least the reach of a
-- touch, so that partners are in the same or a neighbouring cell.
local GRID = 2
local ROW = SIZE / GRID + 2 -- an empty border saves comparisons
local heads, nexts, homes = {}, {}, {}
for c = 1, ROW * ROW do
  heads[c] = false
end

-- touching calls fn(a, b, dx, dy, d2) for every pair of bodies nearer than
-- reach, which is at most GRID. Each body has x and y.
function field.touching(bodies, reach, fn)
  local reach2 = reach * reach
  for i = 1, #homes do -- of the last time
    heads[homes[i]] = false
    homes[i] = nil
  end
  for i = 1, #bodies do
    local b = bodies[i]
    local bx, by = b.x, b.y
    local gx, gy = floor(bx / GRID) + 1, floor(by / GRID) + 1
    local home = gy * ROW + gx
    -- Whoever is in the grid already is the partner: each pair is met once.
    for row = home - ROW, home + ROW, ROW do
      for c = row - 1, row + 1 do
        local j = heads[c]
        while j do
          local other = bodies[j]
          local dx, dy = bx - other.x, by - other.y
          local d2 = dx * dx + dy * dy
          if d2 < reach2 then
            fn(b, other, dx, dy, d2)
          end
          j = nexts[j]
        end
      end
    end
    nexts[i] = heads[home]
    heads[home] = i
    homes[i] = home
  end
end

return field
