-- Puts one cooldown, or lists all.
--
-- KEYS[1]: hash of deployment → "end (ms) cause". ARGV, to put: deployment, ms
-- that remain, cause. Reply, to list: deployment, ms that remain, cause, ….
-- Times go over the wire as durations: replicas' clocks differ.

if #ARGV > 0 then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now_ms + tonumber(ARGV[2])) .. ARGV[3])
  redis.call('PEXPIRE', KEYS[1], math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[2])))
  return {}
end

local out = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local ends, cause = string.match(all[i + 1], '^(%d+) (.*)$')
  if not ends or tonumber(ends) <= now_ms then
    redis.call('HDEL', KEYS[1], all[i])
  else
    out[#out + 1] = all[i]
    out[#out + 1] = string.format('%.0f', tonumber(ends) - now_ms)
    out[#out + 1] = cause
  end
end
return out
