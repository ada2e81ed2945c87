-- The sliding minute. Put before the other scripts.
--
-- A window is a hash: "sum" of the charges that count, "at" the second up to
-- which old slices were taken out of the sum, "last" the newest slice that was
-- charged, and one field per slice, named by its second modulo 64. The slices
-- at-60 … at count. All numbers are below 2^53.

local clock = redis.call('TIME')
local now = tonumber(clock[1])
local now_ms = now * 1000 + math.floor(tonumber(clock[2]) / 1000)

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
  local have = redis.call('HMGET', key, 'at', 'sum', 'last')
  w = { key = key, at = tonumber(have[1]) or now, sum = tonumber(have[2]) or 0, last = tonumber(have[3]) or 0, gone = {} }
  opened[key] = w
  if now > w.at + 60 or now < w.at - 60 then
    -- all of it is over, or the clock is another one
    w.at, w.sum, w.last, w.over = now, 0, 0, have[1]
  elseif now > w.at then
    local fields = {}
    for second = w.at - 60, now - 61 do fields[#fields + 1] = tostring(second % 64) end
    for i, n in ipairs(redis.call('HMGET', key, unpack(fields))) do
      if n then
        w.sum = w.sum - tonumber(n)
        w.gone[#w.gone + 1] = fields[i]
      end
    end
    w.at = now
  end
  return w
end

-- add changes the charge of one slice; none falls below zero.
local function add(w, second, delta)
  if second > now then second = now end
  if second < w.at - 60 or delta == 0 then return end
  if w.over then
    redis.call('DEL', w.key)
    w.over = nil
  end
  if #w.gone > 0 then
    redis.call('HDEL', w.key, unpack(w.gone))
    w.gone = {}
  end
  local field = tostring(second % 64)
  local n = tonumber(redis.call('HGET', w.key, field)) or 0
  if n + delta < 0 then delta = -n end
  if delta == 0 then return end
  if delta > 0 and second > w.last then w.last = second end
  w.sum = w.sum + delta
  redis.call('HSET', w.key, field, n + delta, 'sum', w.sum, 'at', w.at, 'last', w.last)
  redis.call('EXPIRE', w.key, 62)
end

-- wait is how many ms must pass until need of the charges have left; they are
-- no more than the sum.
local function wait(w, need)
  local fields, first = {}, w.at - 60
  for second = first, w.at do fields[#fields + 1] = tostring(second % 64) end
  for i, n in ipairs(redis.call('HMGET', w.key, unpack(fields))) do
    if n then need = need - tonumber(n) end
    if need <= 0 then return math.min((first + i + 60) * 1000 - now_ms, 61000) end
  end
  return 61000
end
