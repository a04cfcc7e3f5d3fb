-- Add to how often in a row somebody looked like a machine.    KEYS streak:{who}    ARGV sid, step, milliseconds until it is forgotten
-- Returns the count, which is never below nought; the same sid adds nothing a second time.
local count, last = unpack(redis.call('HMGET', KEYS[1], 'count', 'sid'))
count = tonumber(count or 0)
if last == ARGV[1] then return count end
count = math.max(0, count + tonumber(ARGV[2]))
redis.call('HSET', KEYS[1], 'count', count, 'sid', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return count
