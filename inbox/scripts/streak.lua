-- Add to the number of texts in a row that look like a machine's.
--
-- KEYS[1] streak:{who}
-- KEYS[2] streaked:{sid}
-- ARGV[1] step, such as 1 or -1
-- ARGV[2] milliseconds for which both keys are kept
--
-- Returns the count, at least 0. A second call for the same sid adds nothing and returns the same count.
local before = redis.call('GET', KEYS[2])
if before then return tonumber(before) end
local count = math.max(0, tonumber(redis.call('GET', KEYS[1]) or 0) + tonumber(ARGV[1]))
redis.call('SET', KEYS[1], count, 'PX', ARGV[2])
redis.call('SET', KEYS[2], count, 'PX', ARGV[2])
return count
