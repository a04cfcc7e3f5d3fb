-- Begin to recount what was spent, or continue where another process stopped.
--
-- KEYS[1] purse:epoch
-- KEYS[2] purse:count
-- KEYS[3] purse:day:{day}
-- KEYS[4] purse:month:{month}
-- ARGV[1] epoch to use if no recount has begun
-- ARGV[2] the day, such as 2026-11-29
-- ARGV[3] id of the process that counts
-- ARGV[4] milliseconds without a page after which that process counts as dead
--
-- Returns {} if the totals are complete or another process is counting.
-- Otherwise returns {epoch, day on which the recount began, journal cursor to continue from}.
if redis.call('EXISTS', KEYS[1]) == 1 then return {} end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if redis.call('HSETNX', KEYS[2], 'epoch', ARGV[1]) == 1 then
  redis.call('HSET', KEYS[2], 'day', ARGV[2], 'cursor', '')
  -- these totals are from a time when the recount was not complete
  redis.call('DEL', KEYS[3], KEYS[4])
end
local counter, till = unpack(redis.call('HMGET', KEYS[2], 'counter', 'until'))
if counter and counter ~= ARGV[3] and now < tonumber(till) then return {} end
redis.call('HSET', KEYS[2], 'counter', ARGV[3], 'until', now + ARGV[4])
return redis.call('HMGET', KEYS[2], 'epoch', 'day', 'cursor')
