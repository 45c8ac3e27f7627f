-- Heartbeat: ARGV 8 which departures reached the players' records, and from 9 on for
-- each change: revision, kind, player, epoch, key.
-- It answers fourth: now, 5: report wanted, 6: over (see hears), 7: new orders,
-- 8: orders.
local answer = {0, '', 0, now, 1, 0, 0, {}}
if known then publish(tonumber(ARGV[8])) end
if known and (state ~= 0 or trusts) then
  -- It was bound before, in what was lost, and players were confirmed.
  if state == 0 and tonumber(ARGV[5]) > 0 then suspended = 1 end
  bind()
  answer[6] = hears()
  answer[5] = 0
  if answer[6] == 0 then
    local gap = #ARGV > 8 + 5 * 1024
    for i = 9, gap and 0 or #ARGV, 5 do
      local rev = tonumber(ARGV[i])
      if rev > revision then
        if rev ~= revision + 1 then
          gap = true
          break
        end
        revision = rev
        local p, epoch = ARGV[i + 2], tonumber(ARGV[i + 3])
        local v = call('HGET', KEYS[3], p)
        local cur, at = seat(v)
        if ARGV[i + 1] == '1' then
          if cur > 0 and cur >= epoch then
          elseif cur == 0 and seated >= capacity then
            evict(p, v, epoch, 'the session is full')
          else
            take(p, v, epoch, rev, ARGV[i + 4])
          end
        else
          if cur > 0 and cur <= epoch and at <= rev then vacate(p, v) end
          depart(p, epoch, rev)
        end
      end
    end
    if gap or revision < tonumber(ARGV[5]) or suspended == 1 or wants() then
      answer[5] = 1
    end
    answer[7], answer[8] = fresh, queued()
  end
end
