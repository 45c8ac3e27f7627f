-- A session's script ends here. It answers 0, the session, the end of its lease
-- (a generation starts leases anew), and what the operation put in answer.
local finish = 0
if known then
  local anew = began + (state == 0 and 30000 or 15000)
  finish = generation > opened and anew > lease and anew or lease
end
if known and dirty then
  local is, inside = shown()
  moved = moved or is ~= was
  if moved or inside ~= had then
    seq = seq + 1
    -- A change of nothing but these says so; any other has to be read.
    local change = moved and seq or pack('>c1I6BI2I6I6', '+', seq, seated, waiting, revision, finish)
    call('XADD', KEYS[7], 'MAXLEN', '~', 1024, '*', ARGV[1], change)
  end
  raw = pack(HEAD, 2, state, suspended, silent, failed, capacity, seated, waiting, holds, heard, opened, counted, revision, seq,
    lease, lapse, since, lastOrder, orders, lastLeft, lefts, openedAt, boundAt, number, ends) ..
    pack(TAIL, #who, who, #addr, addr, #web, web, #signals, signals, #what, what, #drain, drain, #reason, reason) .. left
  call('SET', KEYS[2], raw)
  if state < 3 or lefts > 0 then
    local due = since > 0 and since + 5000 or 0
    if lapse > 0 and (due == 0 or lapse < due) then due = lapse end
    call('HSET', KEYS[6], ARGV[1], pack('>I6I4BBI2I6', lease, opened, state + 16 * silent, seated, waiting, due))
  else
    call('HDEL', KEYS[6], ARGV[1])
  end
end
answer[2], answer[3] = raw or '', finish
return answer
