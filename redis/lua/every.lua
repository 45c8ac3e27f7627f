-- Answers 0 and what each player's part answered, or 0 for it.
end
local out, at = {0}, 2
for i = 1, #told - 6, 7 do
  out[#out + 1] = first(all[at], i) or
    one({all[1], all[at], all[at + 1], '', all[5], all[6]}, {spread(told, i, i + 6)})
  at = at == 2 and 7 or at + 2
end
if added > 0 then call('INCRBY', all[5], added) end
return out
