-- Notes that a replica lives and what runs on it; tells of the others.
--
-- KEYS[1]: hash of replica → "end of its life (ms) load", which all versions share.
-- KEYS[2]: the epoch, a text that outlives every window and is lost with them.
-- KEYS[3…]: windows whose use is asked for, then slots.
-- ARGV: replica, its life in ms, its load (opaque), the epoch if there is none,
-- the number of windows, what the names of replicas begin with that keep their limits
-- under the same keys.
-- Reply: now (ms) and skips, packed; the epoch; the packed use of the windows and
-- number of slots that are held; then of each other replica that lives "1" when it
-- keeps its limits under the same keys, else "0", and its load.

local epoch = try(EPOCH, 'GET', KEYS[2])
if epoch and (#epoch == 0 or #epoch > 64) then
  skip(EPOCH, 1)
  epoch = nil
end
epoch = epoch or ARGV[4]
redis.call('SET', KEYS[2], epoch, 'EX', 130)

local used = {}
local slots = 3 + tonumber(ARGV[5])
for i = 3, slots - 1 do used[i - 2] = string.format('%.0f', open(KEYS[i]).sum) end
for i = slots, #KEYS do
  used[i - 2] = try(SLOT, 'ZCOUNT', KEYS[i], string.format('(%.0f', now_ms), string.format('%.0f', now_ms + longest))
end

-- Entries that cannot be read stay: they are for who wrote them.
local out = { '', epoch, table.concat(used, ' ') }
local all = try(REPLICA, 'HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local ends, load = string.match(all[i + 1], '^(%d+) (.*)$')
  ends = whole(ends, now_ms + longest)
  if not ends then
    skip(REPLICA, 1)
  elseif ends <= now_ms then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] then
    if #load > 65536 then load = '' end
    out[#out + 1] = (string.sub(all[i], 1, #ARGV[6]) == ARGV[6] and '1' or '0') .. load
  end
end

redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now_ms + tonumber(ARGV[2])) .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
out[1] = string.format('%.0f %s', now_ms, skips())
return out
