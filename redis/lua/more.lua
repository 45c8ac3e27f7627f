-- What few records have: c claims under others' tickets {key, epoch, until}, g
-- epochs that are gone {epoch, until}, p evictions that are not queued {session,
-- epoch}; each oldest first.
local x = {c = {}, g = {}, p = {}}
if more then
  local v = call('GET', KEYS[3])
  if v then
    local all = cmsgpack.unpack(v)
    x.p = all.p
    for _, c in ipairs(all.c) do
      if now < c[3] then x.c[#x.c + 1] = c end
    end
    for _, g in ipairs(all.g) do
      if now < g[2] then x.g[#x.g + 1] = g end
    end
  end
end
-- save writes the record and this. False: the shard has too many records.
local function save()
  local had = more
  more = #x.c + #x.g + #x.p > 0
  if not keep() then return false end
  if more then
    call('SET', KEYS[3], cmsgpack.pack(x))
  elseif had then
    call('DEL', KEYS[3])
  end
  call(spread(set))
  return true
end
local function isGone(e)
  for _, g in ipairs(x.g) do
    if g[1] == e then return true end
  end
  return false
end
-- give says that the epoch is never to be confirmed.
local function give(e)
  if isGone(e) then return end
  if #x.g == 32 then table.remove(x.g, 1) end
  x.g[#x.g + 1] = {e, now + 600000}
end
