-- Corrects charges, gives slots back, and renews those that are held.
--
-- KEYS: of the slots given back, of the corrected windows, of the slots renewed.
-- ARGV[1], packed: lease (ms); slot keys given back, and the number of IDs of each;
-- windows, then for each the number of its slices with second and delta of each; slot
-- keys renewed, and the number of IDs of each.
-- ARGV[2…]: the IDs of the slots.
-- Reply, packed: now (ms), skips.
-- Slots are given back first: a server that is full takes that, and what comes after it.
-- If it refuses the first write it does nothing at all.

local nextn, key, arg = numbers(ARGV[1]), 0, 1
local function nextkey()
  key = key + 1
  return KEYS[key]
end
local function nextarg()
  arg = arg + 1
  return ARGV[arg]
end

local lease = nextn()
for _ = 1, nextn() do
  local ids = {}
  for i = 1, nextn() do ids[i] = nextarg() end
  try(SLOT, 'ZREM', nextkey(), unpack(ids))
end

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
