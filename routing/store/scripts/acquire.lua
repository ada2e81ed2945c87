-- Takes room for the first candidate that has it, or takes nothing.
--
-- KEYS[1]: the epoch. KEYS[2…]: those of the returned windows and slots, of the shared
-- windows and slots, then of each candidate's windows and slots.
-- ARGV[1]: the ID that holds slots. ARGV[3]: the epoch that the caller knows; '': none.
-- ARGV[2]: packed integers:
--   deadline (ms, this clock; 0 none), lease (ms),
--   returned windows, then second and delta of each; returned slots;
--   shared windows, shared slots, then limit and cost of each window and limit
--   of each slot; candidates, and each of them like the shared one.
-- Reply, packed: chosen (-1 none, -2 late), now (ms), wait (ms), skips; the number of
-- slots that are all that is missing, then which of KEYS each of them is; then
-- used, ms to empty and ms to room of each window looked at.

local id, nextn, key = ARGV[1], numbers(ARGV[2]), 1
local function nextkey()
  key = key + 1
  return KEYS[key]
end

local deadline, lease = nextn(), nextn()
if deadline > 0 and now_ms > deadline then
  return string.format('-2 %.0f 0 0 0', now_ms) -- the caller no longer waits
end

local err = lost(KEYS[1], ARGV[3])
if err then return err end

for _ = 1, nextn() do
  local second, delta = nextn(), nextn()
  add(open(nextkey()), second, delta)
end
for _ = 1, nextn() do
  local slots = nextkey()
  usable(slots)
  try(SLOT, 'ZREM', slots, id)
end

local function read()
  local demand, windows, slots = { windows = {}, slots = {} }, nextn(), nextn()
  for i = 1, windows do demand.windows[i] = { key = nextkey(), limit = nextn(), cost = nextn() } end
  for i = 1, slots do demand.slots[i] = { key = nextkey(), index = key, limit = nextn() } end
  return demand
end

local looked = {}

-- check returns whether a demand has room and how long it must wait. The slots of
-- one that lacks nothing else are added to those that can help.
local function check(demand, lacks)
  local ok, longest = true, 0
  for _, want in ipairs(demand.windows) do
    local w = open(want.key)
    local need, ms = w.sum + math.min(want.cost, want.limit) - want.limit, 0
    if need > 0 then
      ok, ms = false, wait(w, need)
      longest = math.max(longest, ms)
    end
    looked[#looked + 1] = { window = w, wait = ms }
  end
  local windows_ok = ok
  for _, want in ipairs(demand.slots) do
    if full(want.key, want.limit) then
      ok = false
      longest = math.max(longest, 1000)
      if windows_ok then lacks[#lacks + 1] = want.index end
    end
  end
  return ok, longest
end

local function charge(demand)
  for _, want in ipairs(demand.windows) do add(open(want.key), now, want.cost) end
  for _, want in ipairs(demand.slots) do
    redis.call('ZADD', want.key, now_ms + lease, id)
    redis.call('PEXPIRE', want.key, lease + 1000)
  end
end

local function reply(chosen, soonest, lacks)
  local out = { string.format('%d %.0f %.0f %s %d', chosen, now_ms, soonest, skips(), #lacks) }
  for _, index in ipairs(lacks) do out[#out + 1] = string.format('%d', index) end
  for _, seen in ipairs(looked) do
    local w, reset = seen.window, 0
    if w.sum > 0 then reset = math.max((w.last + 61) * 1000 - now_ms, 0) end
    out[#out + 1] = string.format('%.0f %.0f %.0f', w.sum, reset, seen.wait)
  end
  return table.concat(out, ' ')
end

local shared = read()
local lacks = {}
local ok, soonest = check(shared, lacks)
if not ok then return reply(-1, soonest, lacks) end

soonest = 61000
for i = 1, nextn() do
  local candidate = read()
  local room, longest = check(candidate, lacks)
  if room then
    charge(shared)
    charge(candidate)
    return reply(i - 1, 0, {})
  end
  soonest = math.min(soonest, longest)
end
return reply(-1, soonest, lacks)
