-- Notes the address of a replica and lists those that live.
--
-- KEYS[1]: hash of address → end of its life (ms). ARGV: address, its life in ms.
-- Reply: the addresses, its own among them.

redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now_ms + tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local out = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if tonumber(all[i + 1]) and tonumber(all[i + 1]) > now_ms then
    out[#out + 1] = all[i]
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return out
