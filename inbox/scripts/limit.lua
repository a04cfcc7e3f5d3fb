-- Take a token from each of these buckets, or from none of them.
--   KEYS limited:{sid} rate:{key}...    ARGV milliseconds for which the verdict is kept, when it happened, then of each bucket: tokens it holds,
--                                            milliseconds in which it fills up
-- Returns 0, or the place of the first bucket that is empty; the same again for the same sid.
local before = redis.call('GET', KEYS[1])
if before then return tonumber(before) end
-- by the time at which it happened: what waited while nobody worked did not come at once
local now = tonumber(ARGV[2])
local left, last, empty = {}, {}, 0
for i = 2, #KEYS do
  local most, per = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local tokens, at = unpack(redis.call('HMGET', KEYS[i], 'tokens', 'at'))
  tokens = tokens and math.min(most, tonumber(tokens) + math.max(0, now - tonumber(at)) * most / per) or most
  left[i], last[i] = tokens, at and math.max(now, tonumber(at)) or now
  if tokens < 1 and empty == 0 then empty = i - 1 end
end
if empty == 0 then
  for i = 2, #KEYS do
    redis.call('HSET', KEYS[i], 'tokens', string.format('%.6f', left[i] - 1), 'at', string.format('%.0f', last[i]))
    redis.call('PEXPIRE', KEYS[i], ARGV[2 * i])
  end
end
redis.call('SET', KEYS[1], empty, 'PX', ARGV[1])
return empty
