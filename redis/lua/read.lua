-- Session, and what the sweep does about holds that lapsed.
if not known then
  if now < ready then return {'W', ready - now} end
  return {'U'}
end
local answer = {0}
