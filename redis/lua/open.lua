-- Open: ARGV 2 capacity, 3 what, 4 room, 5 how many players, 6 the pool's newest
-- sessions after the one that was seen, as their members in the index of pools:
-- how many, 7 and 8 the bounds of that look; then those members, then for each
-- hold key, epochs, names. KEYS from 13 on: those sessions. It answers from 4 on
-- the holds that live, or ''; or 2 and the others: which, session, end of its lease;
-- or A: the pool's sessions are not those any more.
local count = tonumber(ARGV[6])
local answer = {0}
if not known then
  local room = tonumber(ARGV[4])
  if room > 0 then
    local pool = call('ZREVRANGEBYLEX', KEYS[11], ARGV[7], ARGV[8], 'LIMIT', 0, 256)
    if #pool ~= count then return {'A'} end
    for i = 1, count do
      if pool[i] ~= ARGV[8 + i] then return {'A'} end
    end
    local others, need = {2, '', 0}, tonumber(ARGV[5])
    for i = count, 1, -1 do
      local v = call('GET', KEYS[12 + i])
      if v then
        local _, st, susp, _, _, cap, seats, waits, _, hrd, opd, _, _, _, ls, lps, _, _, _, _, _, _, _, _, _, pos = unpack(HEAD, v)
        local drn
        _, _, _, _, _, drn = unpack(TAIL, v, pos)
        if lps > 0 and now >= lps then return {'A'} end -- its holds are to be looked at first
        local anew = began + (st == 0 and 30000 or 15000)
        local fin = generation > opd and anew > ls and anew or ls
        local free = math.max(cap - seats - waits, 0)
        if free >= room and st < 2 and drn == '' and susp == 0 and (QUARANTINE == 0 or hrd == generation) and fin > now then
          others[#others + 1], others[#others + 2], others[#others + 3] = i, v, fin
          need = need - free
        end
      end
      if need <= 0 or #others == 3 + 3 * 64 then break end
    end
    if #others > 3 then return others end
  end
  if full() then return {'C', call('ZCARD', KEYS[8])} end
  add(tonumber(ARGV[2]), ARGV[3])
  lease = now + 30000
  for i = 9 + count, #ARGV, 3 do
    local names, at = ARGV[i + 2], 1
    local n = #ARGV[i + 1] / 7
    for _ = 1, n do
      local len = byte(names, at)
      local p = sub(names, at + 1, at + len)
      local v = call('HGET', KEYS[3], p)
      if not v then waiting = waiting + 1 end
      call('HSET', KEYS[3], p, pack('>I7I5I2', 0, 0, v and unpack('>I2', v, 13) + 1 or 1))
      at = at + 1 + len
    end
    call('HSET', KEYS[4], ARGV[i], pack('>I6I6', now, 0) .. string.char(n) .. ARGV[i + 1] .. string.rep('\1', n) .. names)
    holds = holds + 1
  end
end
answer[2], answer[3] = '', 0
for i = 9 + count, #ARGV, 3 do
  local h = holds > 0 and call('HGET', KEYS[4], ARGV[i])
  answer[#answer + 1] = h and sub(h, 1, 13) .. sub(h, 14, 13 + 7 * byte(h, 13)) .. sub(h, 14 + 8 * byte(h, 13)) or ''
end
