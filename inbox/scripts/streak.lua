-- Add to how often in a row somebody looked like a machine.    KEYS streak:{who} streaked:{sid}    ARGV step, milliseconds until it is forgotten
-- Returns the count, which is never below nought; for the same sid the same again, and nothing is added.
local before = redis.call('GET', KEYS[2])
if before then return tonumber(before) end
local count = math.max(0, tonumber(redis.call('GET', KEYS[1]) or 0) + tonumber(ARGV[1]))
redis.call('SET', KEYS[1], count, 'PX', ARGV[2])
redis.call('SET', KEYS[2], count, 'PX', ARGV[2])
return count
