-- Notes the address of a replica and lists those that live.
--
-- KEYS[1]: hash of address → end of its life (ms), which all versions share. ARGV:
-- address, its life in ms.
-- Reply: skips, packed; then the addresses, its own among them.

try(ADDRESS, 'HSET', KEYS[1], ARGV[1], string.format('%.0f', now_ms + tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local out = { '' }
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local ends = whole(all[i + 1], now_ms + longest)
  if not ends then
    skip(ADDRESS, 1) -- it is for who wrote it
  elseif ends <= now_ms then
    redis.call('HDEL', KEYS[1], all[i])
  else
    out[#out + 1] = all[i]
  end
end
out[1] = skips()
return out
