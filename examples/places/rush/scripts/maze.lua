-- The maze: walls are solid boxes of the space, and things that players see.
local CELL = 2 -- metres

local rows = {
  "########################",
  "#..........##..........#",
  "#..........##..........#",
  "#..####..........####..#",
  "#..#................#..#",
  "#..#....##....##....#..#",
  "#.......#......#.......#",
  "#.......#......#.......#",
  "#..##..............##..#",
  "#...#....######....#...#",
  "#...#..............#...#",
  "##.......#....#.......##",
  "##.......#....#.......##",
  "#...#..............#...#",
  "#...#....######....#...#",
  "#..##..............##..#",
  "#.......#......#.......#",
  "#.......#......#.......#",
  "#..#....##....##....#..#",
  "#..#................#..#",
  "#..####..........####..#",
  "#..........##..........#",
  "#..........##..........#",
  "########################",
}

local maze = {SIZE = #rows * CELL}

local wall = world.kind("wall", {
  x = {type = "number", min = 0, max = maze.SIZE, precision = 1/8},
  y = {type = "number", min = 0, max = maze.SIZE, precision = 1/8},
  width = {type = "number", min = 0, max = maze.SIZE, precision = 1/8},
  height = {type = "number", min = 0, max = CELL, precision = 1/8},
}, {solid = true})

local open = {} -- places without a wall

-- build puts the walls into a space: a box for every run of #.
function maze.build(space)
  for row, text in ipairs(rows) do
    local y = (row - 0.5) * CELL
    for from, run, to in text:gmatch("()(#+)()") do
      local x, width = (from + to - 2) / 2 * CELL, #run * CELL
      space:box(x, y, width, CELL, {group = "wall", solid = true})
      world.spawn(wall, {x = x, y = y, width = width, height = CELL})
    end
    for column in text:gmatch("()%.") do
      open[#open + 1] = {x = (column - 0.5) * CELL, y = y}
    end
  end
end

-- free is a place without a wall, another one each time.
function maze.free()
  local at = open[math.random(#open)]
  return at.x, at.y
end

return maze
