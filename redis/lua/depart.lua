-- depart remembers that a seat came free until the player's record knows. The
-- departures are numbered up to lastLeft without a gap.
local function depart(p, epoch, rev)
  if lefts == 1024 then
    left = sub(left, 15 + byte(left, 14))
    lefts = lefts - 1
  end
  lastLeft, lefts = lastLeft + 1, lefts + 1
  left = left .. pack('>I7I6Bc0', epoch, rev, #p, p)
  if since == 0 then since = now end
  dirty = true
end
