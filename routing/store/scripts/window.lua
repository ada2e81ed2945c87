-- The sliding minute. Put before the other scripts.
--
-- A window is a hash: "sum" of the charges that count, "at" the second up to
-- which old slices were taken out of the sum, "last" the newest slice that was
-- charged, and one field per slice, named by its second modulo 64. The slices
-- at-60 … at count. All numbers are below 2^53.

local clock = redis.call('TIME')
local now = tonumber(clock[1])
local now_ms = now * 1000 + math.floor(tonumber(clock[2]) / 1000)

-- What a key holds may be written by another version, or by somebody else's program.
-- What is not as this version writes it is skipped, as if it were not there, and
-- counted by its kind; it never makes a script fail.
local WINDOW, SLOT, EPOCH, REPLICA, COOLDOWN, ADDRESS = 0, 1, 2, 3, 4, 5
local skipped = {}

local function skip(kind, n) skipped[kind] = (skipped[kind] or 0) + n end

-- skips returns what was skipped, packed: how many kinds, then each and its count.
local function skips()
  local out = { 0 }
  for kind, n in pairs(skipped) do
    out[1] = out[1] + 1
    out[#out + 1] = string.format('%d %d', kind, n)
  end
  return table.concat(out, ' ')
end

-- try calls a command on a key. A value of another type than the command's is deleted,
-- and the command called again.
local function try(kind, command, key, ...)
  local out = redis.pcall(command, key, ...)
  if type(out) ~= 'table' or not out.err then return out end
  if string.find(out.err, 'WRONGTYPE', 1, true) then
    redis.call('UNLINK', key)
    skip(kind, 1)
  end
  return redis.call(command, key, ...)
end

local most = 2 ^ 53

-- whole reads a whole number of at most so much; nil: the text is none.
local function whole(text, atmost)
  local n = text and tonumber(text)
  if n and n >= 0 and n <= atmost and n == math.floor(n) then return n end
end

-- numbers reads the packed integers of an argument, one at a time.
local function numbers(packed)
  local each = string.gmatch(packed, '%S+')
  return function() return tonumber(each()) end
end

local opened = {}

-- open reads a window and takes what has left it out of the sum. Nothing is
-- written before the window is charged.
local function open(key)
  local w = opened[key]
  if w then return w end
  local have = try(WINDOW, 'HMGET', key, 'at', 'sum', 'last')
  w = { key = key, at = whole(have[1], most), sum = whole(have[2], most), last = whole(have[3], most), gone = {} }
  opened[key] = w
  if not (w.at and w.sum and w.last) then
    -- nothing is there, or nothing that can be read
    w.at, w.sum, w.last, w.over, w.foreign = now, 0, 0, true, true
  elseif now > w.at + 60 or now < w.at - 60 then
    -- all of it is over, or the clock is another one
    w.at, w.sum, w.last, w.over = now, 0, 0, true
  elseif now > w.at then
    local fields = {}
    for second = w.at - 60, now - 61 do fields[#fields + 1] = tostring(second % 64) end
    for i, n in ipairs(redis.call('HMGET', key, unpack(fields))) do
      if n then
        w.sum = math.max(w.sum - (whole(n, most) or 0), 0)
        w.gone[#w.gone + 1] = fields[i]
      end
    end
    w.at = now
  end
  w.last = math.min(w.last, w.at)
  return w
end

-- add changes the charge of one slice; none falls below zero. Where it can, it writes
-- first what a server that is full refuses: see usable.
local function add(w, second, delta)
  if second > now then second = now end
  if second < w.at - 60 or delta == 0 then return end
  local field, n, gone = tostring(second % 64), nil, {}
  if w.over then n = 0 end
  for _, each in ipairs(w.gone) do
    if each == field then n = 0 else gone[#gone + 1] = each end
  end
  n = n or whole(redis.call('HGET', w.key, field), most) or 0
  if n + delta < 0 then delta = -n end
  if delta == 0 then return end
  if w.over then
    if redis.call('PTTL', w.key) ~= -2 then -- something is there
      redis.call('UNLINK', w.key)
      if w.foreign then skip(WINDOW, 1) end
    end
    w.over, w.foreign = nil, nil
  end
  if delta > 0 and second > w.last then w.last = second end
  w.sum = w.sum + delta
  redis.call('HSET', w.key, field, n + delta, 'sum', w.sum, 'at', w.at, 'last', w.last)
  if #gone > 0 then redis.call('HDEL', w.key, unpack(gone)) end
  w.gone = {}
  redis.call('EXPIRE', w.key, 62)
end

-- wait is how many ms must pass until need of the charges have left; they are
-- no more than the sum.
local function wait(w, need)
  local fields, first = {}, w.at - 60
  for second = first, w.at do fields[#fields + 1] = tostring(second % 64) end
  for i, n in ipairs(redis.call('HMGET', w.key, unpack(fields))) do
    need = need - (whole(n, most) or 0)
    if need <= 0 then return math.min((first + i + 60) * 1000 - now_ms, 61000) end
  end
  return 61000
end

-- lost returns an error when the server has lost its data since the caller learned its
-- epoch: it has another one. The script must change nothing then. '': any epoch will do.
local function lost(key, epoch)
  if epoch ~= '' and redis.pcall('GET', key) ~= epoch then
    return redis.error_reply('EPOCH this server has lost its data')
  end
end

-- longest is the longest lease in ms that is taken as one of ours.
local longest = 600000

local probed

-- usable fails when the server refuses to write. One that is full refuses what needs
-- memory only as long as a script has written nothing, be it a removal that removed
-- nothing. So it is probed first, with a command that it refuses then and that changes
-- nothing, on a key of slots: no ID is empty.
local function usable(key)
  if not probed then try(SLOT, 'ZADD', key, 'XX', 0, '') end
  probed = true
end

-- full reports whether all of a key's slots are held.
local function full(key, limit)
  usable(key)
  try(SLOT, 'ZREMRANGEBYSCORE', key, '-inf', now_ms)
  local held = redis.call('ZCARD', key)
  if held < limit then return false end
  local foreign = redis.call('ZREMRANGEBYSCORE', key, string.format('(%.0f', now_ms + longest), '+inf')
  if foreign > 0 then skip(SLOT, foreign) end
  return held - foreign >= limit
end
