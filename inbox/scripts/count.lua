-- Begin to count what was spent, or go on where another stopped.    KEYS purse:epoch purse:count purse:day:{day} purse:month:{month}
--   ARGV an epoch, should none have begun; the day; who counts; milliseconds after which he is taken to be dead
-- Returns {} where it is counted or another is at it; {epoch, the day on which it began, where in the journal it goes on}.
if redis.call('EXISTS', KEYS[1]) == 1 then return {} end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if redis.call('HSETNX', KEYS[2], 'epoch', ARGV[1]) == 1 then
  redis.call('HSET', KEYS[2], 'day', ARGV[2], 'cursor', '')
  -- what stands there is of a time when it was not counted to the end
  redis.call('DEL', KEYS[3], KEYS[4])
end
local counter, till = unpack(redis.call('HMGET', KEYS[2], 'counter', 'until'))
if counter and counter ~= ARGV[3] and now < tonumber(till) then return {} end
redis.call('HSET', KEYS[2], 'counter', ARGV[3], 'until', now + ARGV[4])
return redis.call('HMGET', KEYS[2], 'epoch', 'day', 'cursor')
