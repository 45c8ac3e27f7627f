-- Report: ARGV 8 state, 9 capacity, 10 place and version as what begins with, 11
-- what, 12 opened at, and from 13 on for each seat: player, epoch, key. Answers
-- as Heartbeat does, and ninth: the numbers of the seats that are taken so.
-- 1: it contradicts what is known.
local answer = {0, '', 0, now, 0, 0, 0, {}, {}}
local told = tonumber(ARGV[5])
if not known then
  if full() then return {'C', call('ZCARD', KEYS[8])} end
  add(tonumber(ARGV[9]), ARGV[11])
  -- Not opened later than it was, so that no old token lives longer.
  local at = tonumber(ARGV[12])
  if at > 0 and at < now then openedAt = at end
  state, who, addr, boundAt = tonumber(ARGV[8]), ARGV[2], ARGV[3], openedAt
  if state == 0 then opened, heard = generation - 1, generation - 1 end
elseif sub(what, 1, #ARGV[10]) ~= ARGV[10] or capacity ~= tonumber(ARGV[9]) then
  answer[1] = 1
end
if answer[1] == 0 and (state ~= 0 or trusts or told > 0) then
  bind()
  answer[6] = hears()
  if answer[6] == 0 then
    local all, players = call('HGETALL', KEYS[3]), {}
    for i = 1, #all, 2 do players[all[i]] = all[i + 1] end
    if told >= revision then
      local is, gone = {}, {}
      for i = 13, #ARGV, 3 do is[ARGV[i]] = true end
      for i = 1, #all, 2 do
        local cur, rev = seat(all[i + 1])
        if cur > 0 and not is[all[i]] and rev <= told then
          gone[#gone + 1] = {all[i], cur}
          vacate(all[i], all[i + 1])
        end
      end
      local fill = {'HSET', KEYS[3]}
      for i = 13, #ARGV, 3 do
        local p, epoch = ARGV[i], tonumber(ARGV[i + 1])
        local v = players[p]
        local cur, _, n = seat(v)
        if cur == 0 and seated < capacity or cur > 0 and cur <= epoch then
          if n > 0 then
            take(p, v, epoch, told, ARGV[i + 2])
            players[p] = call('HGET', KEYS[3], p)
          else
            if cur == 0 then seated = seated + 1 end
            players[p] = pack('>I7I5', epoch, told)
            fill[#fill + 1], fill[#fill + 2] = p, players[p]
          end
        end
      end
      if #fill > 2 then call(spread(fill)) end
      revision, suspended, counted = told, 0, census
      if complete() then heard = generation end
      if ARGV[8] == '2' and state == 1 then state = 2 end
      for _, g in ipairs(gone) do depart(g[1], g[2], told) end
    end
    answer[5] = (suspended == 1 or wants()) and 1 or 0
    answer[7], answer[8] = fresh, queued()
    for i = 13, #ARGV, 3 do
      local cur = seat(players[ARGV[i]])
      if cur > 0 and cur <= tonumber(ARGV[i + 1]) then answer[9][#answer[9] + 1] = (i - 13) / 3 end
    end
  end
end
