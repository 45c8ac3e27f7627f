-- The smallest useful place: players walk around on a field and see each other.
-- Everything that a script can do is listed in the comments below.

-- A kind says which fields its entities have. Players' clients see these
-- fields, rounded to their precision; nothing else leaves the server.
--   {type = "number", min = 0, max = 64, precision = 1/64}
--   {type = "integer", min = 0, max = 1000}
--   {type = "bool"}
--   {type = "string", max = 24}            up to 64 bytes
-- Kinds are defined here, at the top; later is too late. What may follow the
-- fields says how its entities move: screens then show a player's own at once.
local SIZE = 32  -- metres
local SPEED = 5  -- metres a second
local avatar = world.kind("avatar", {
  x = {type = "number", min = 0, max = SIZE, precision = 1/64},
  y = {type = "number", min = 0, max = SIZE, precision = 1/64},
  name = {type = "string", max = 24},
}, {speed = SPEED})

-- place.on(event, fn): the events are start, join, leave, input and tick.
--
-- A player has id, name, input (his newest), left, and state: a table of your
-- own that lives as long as he is here.
place.on("join", function(player)
  player.state.avatar = world.spawn(avatar, {
    x = math.random() * SIZE,  -- the same numbers in every run of a session
    y = math.random() * SIZE,
    name = player.name,
  }, player)
  print(player.name .. " is here, we are " .. players.count() .. " of " .. place.capacity)
end)

-- An entity stays when its owner leaves: remove it.
place.on("leave", function(player)
  player.state.avatar:remove()
end)

-- dt is the time since the last tick, in seconds. place.tick counts them, and
-- place.time is the sum. All tick handlers together have 500,000 steps.
place.on("tick", function(dt)
  for _, player in ipairs(players.all()) do  -- first come first
    local input = player.input  -- move_x and move_y are -1 to 1
    local me = player.state.avatar
    -- Fields are clamped to their range, so nobody leaves the field.
    me.x = me.x + input.move_x * SPEED * dt
    me.y = me.y + input.move_y * SPEED * dt
    if input.pressed(1) then  -- buttons are 1 to 32
      me.x, me.y = SIZE / 2, SIZE / 2
    end
  end
end)

-- More: world.get(id), world.count(), players.get(id), place.on("input",
-- function(player, input) ... end), and require("scripts/other") for a second
-- file. entity.id, entity.kind, entity.owner and entity.removed can be read.
