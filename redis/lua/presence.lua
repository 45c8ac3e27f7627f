-- Presence. Answers 0, state, epoch, revision, session, place, and whether he joined before the
-- newest census.
if state == 0 and now < ready then return {'W', ready - now} end
return {0, state, epoch, revision, at, at ~= '' and placeName(sub(at, -2)) or '',
  math.floor(epoch / 256) + 1577836800000 < census + QUARANTINE and 1 or 0}
