-- Take one token from each bucket, or none at all if any bucket is empty.
--
-- KEYS[1] limited:{sid}
-- KEYS[2...] rate:{key} of each bucket
-- ARGV[1] milliseconds for which the verdict is kept
-- ARGV[2] time of the event in milliseconds
-- ARGV[3] milliseconds for which a bucket is kept after it is full: a text that waited so long still finds it
-- ARGV[4...] for each bucket: its capacity in tokens, milliseconds in which it fills up
--
-- Returns 0, or the number of the first empty bucket, from 1. A second call for the same sid returns the same.
local before = redis.call('GET', KEYS[1])
if before then return tonumber(before) end
-- Buckets fill by the time of the event: texts that waited while no worker ran did not all arrive at once.
local now = tonumber(ARGV[2])
local left, last, empty = {}, {}, 0
for i = 2, #KEYS do
  local most, per = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local tokens, at = unpack(redis.call('HMGET', KEYS[i], 'tokens', 'at'))
  tokens = tokens and math.min(most, tonumber(tokens) + math.max(0, now - tonumber(at)) * most / per) or most
  left[i], last[i] = tokens, at and math.max(now, tonumber(at)) or now
  if tokens < 1 and empty == 0 then empty = i - 1 end
end
if empty == 0 then
  for i = 2, #KEYS do
    redis.call('HSET', KEYS[i], 'tokens', string.format('%.6f', left[i] - 1), 'at', string.format('%.0f', last[i]))
    redis.call('PEXPIRE', KEYS[i], ARGV[2 * i + 1] + ARGV[3])
  end
end
redis.call('SET', KEYS[1], empty, 'PX', ARGV[1])
return empty
