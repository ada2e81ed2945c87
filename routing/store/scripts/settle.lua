-- Corrects charges, gives slots back, and renews those that are held.
--
-- KEYS[1]: the epoch. KEYS[2]: the number of the last call of this caller. KEYS[3…]: of
-- the slots given back, of the corrected windows, of the slots renewed.
-- ARGV[2]: the epoch that the caller knows; '': none.
-- ARGV[1], packed: the call's number; lease (ms); slot keys given back, and the number of IDs of each;
-- windows, then for each the number of its slices with second and delta of each; slot
-- keys renewed, and the number of IDs of each.
-- ARGV[3…]: the IDs of the slots.
-- Reply, packed: now (ms), skips.
-- Slots are given back first: a server that is full takes that, and what comes after it.
-- If it refuses the first write it does nothing at all.
-- A call whose number is not above that of the last one has run before, or comes after a
-- later one: it changes nothing. 0: the call has no number.

local nextn, key, arg = numbers(ARGV[1]), 2, 2
local function nextkey()
  key = key + 1
  return KEYS[key]
end
local function nextarg()
  arg = arg + 1
  return ARGV[arg]
end

local err = lost(KEYS[1], ARGV[2])
if err then return err end

local number, lease = nextn(), nextn()
if number > 0 and number <= (whole(redis.pcall('GET', KEYS[2]), most) or 0) then
  return string.format('%.0f %s', now_ms, skips())
end

for _ = 1, nextn() do
  local ids = {}
  for i = 1, nextn() do ids[i] = nextarg() end
  try(SLOT, 'ZREM', nextkey(), unpack(ids))
end

-- Before the windows: a script that fails half way is not run again.
if number > 0 then redis.call('SET', KEYS[2], string.format('%.0f', number), 'EX', 130) end

for _ = 1, nextn() do
  local w = open(nextkey())
  for _ = 1, nextn() do
    local second, delta = nextn(), nextn()
    add(w, second, delta)
  end
end

for _ = 1, nextn() do
  local entries = {}
  for _ = 1, nextn() do
    entries[#entries + 1] = now_ms + lease
    entries[#entries + 1] = nextarg()
  end
  local slots = nextkey()
  try(SLOT, 'ZADD', slots, unpack(entries))
  redis.call('PEXPIRE', slots, lease + 1000)
end

return string.format('%.0f %s', now_ms, skips())
