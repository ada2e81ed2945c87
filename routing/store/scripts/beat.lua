-- Notes that a replica lives and what runs on it; tells of the others.
--
-- KEYS[1]: hash of replica → "end of its life (ms) load". KEYS[2]: the epoch, a
-- text that outlives every window and is lost with them. KEYS[3…]: windows whose
-- use is asked for, then slots.
-- ARGV: replica, its life in ms, its load (opaque), the epoch if there is none,
-- the number of windows.
-- Reply: now (ms), the epoch, the packed use of the windows and number of slots
-- that are held, then the load of each other replica that lives.

local epoch = redis.call('GET', KEYS[2]) or ARGV[4]
redis.call('SET', KEYS[2], epoch, 'EX', 130)
local used = {}
local slots = 3 + tonumber(ARGV[5])
for i = 3, slots - 1 do used[i - 2] = string.format('%.0f', open(KEYS[i]).sum) end
for i = slots, #KEYS do used[i - 2] = redis.call('ZCOUNT', KEYS[i], string.format('(%.0f', now_ms), '+inf') end
local out = { string.format('%.0f', now_ms), epoch, table.concat(used, ' ') }

local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local ends, load = string.match(all[i + 1], '^(%d+) (.*)$')
  if not ends or tonumber(ends) <= now_ms then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] then
    out[#out + 1] = load
  end
end

redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now_ms + tonumber(ARGV[2])) .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return out
