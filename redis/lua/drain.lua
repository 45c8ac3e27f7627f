-- Drain: ARGV 2 reason, 3 when the session ends, or 0.
if not known then
  if now < ready then return {'W', ready - now} end
  return {'U'}
end
local answer = {0}
local till = tonumber(ARGV[3])
local moves = till > 0 and till ~= ends
if moves then ends, dirty = till, true end
if state == 0 and drain == '' then
  drain, dirty = ARGV[2], true
elseif state == 1 or state == 2 and moves then
  drainNow(ARGV[2])
end
answer[4], answer[5] = fresh, queued()
