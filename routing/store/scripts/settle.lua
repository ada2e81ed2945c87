-- Corrects charges, gives slots back, and renews those that are held.
--
-- KEYS: of the corrected windows, of the slots given back, of the slots renewed.
-- ARGV[1], packed: lease (ms); windows, then for each the number of its slices
-- with second and delta of each; slot keys given back, and the number of IDs of
-- each; slot keys renewed, and the number of IDs of each.
-- ARGV[2…]: those IDs.
-- Reply, packed: now (ms), skips.

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
  local w = open(nextkey())
  for _ = 1, nextn() do
    local second, delta = nextn(), nextn()
    add(w, second, delta)
  end
end

for _ = 1, nextn() do
  local ids = {}
  for i = 1, nextn() do ids[i] = nextarg() end
  try(SLOT, 'ZREM', nextkey(), unpack(ids))
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
