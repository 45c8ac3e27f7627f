-- Sessions: the IDs of a page. KEYS: 2 IDs, 3 places. ARGV: 1 place or '', 2 after
-- or '', 3 how many.
if ARGV[1] ~= '' and call('HEXISTS', KEYS[3], ARGV[1]) == 0 then return {0, generation, began} end
return {0, generation, began,
  call('ZRANGEBYLEX', KEYS[2], ARGV[2] == '' and '-' or '(' .. ARGV[2], '+', 'LIMIT', 0, ARGV[3])}
