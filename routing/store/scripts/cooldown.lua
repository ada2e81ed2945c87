-- Puts one cooldown, drops one, or lists all.
--
-- KEYS[1]: hash of deployment → "end (ms) cause". ARGV, to put: deployment, ms
-- that remain, cause; to drop: deployment. Reply, to list: skips, packed; then
-- deployment, ms that remain, cause, ….
-- Times go over the wire as durations: replicas' clocks differ.

if #ARGV == 1 then
  try(COOLDOWN, 'HDEL', KEYS[1], ARGV[1])
  return { skips() }
end

if #ARGV > 1 then
  try(COOLDOWN, 'HSET', KEYS[1], ARGV[1], string.format('%.0f ', now_ms + tonumber(ARGV[2])) .. ARGV[3])
  redis.call('PEXPIRE', KEYS[1], math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[2])))
  return { skips() }
end

local month = 31 * 24 * 3600 * 1000 -- the longest cooldown that is believed
local out = { '' }
local all = try(COOLDOWN, 'HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local ends, cause = string.match(all[i + 1], '^(%d+) (.*)$')
  ends = whole(ends, now_ms + month)
  if not ends or #cause > 4096 then skip(COOLDOWN, 1) end
  if not ends or #cause > 4096 or ends <= now_ms then
    redis.call('HDEL', KEYS[1], all[i])
  else
    out[#out + 1] = all[i]
    out[#out + 1] = string.format('%.0f', ends - now_ms)
    out[#out + 1] = cause
  end
end
out[1] = skips()
return out
