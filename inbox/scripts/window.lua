-- Take places for some events in a window of time, if there are as many.
--
-- KEYS[1] pace:{key}:sent, the times of the newest events, newest first
-- ARGV[1] places that are needed
-- ARGV[2] events that the window may hold
-- ARGV[3] length of the window in milliseconds
--
-- Returns the milliseconds until there is room; 0: the places are taken. More places than the window has are given
-- once it is empty.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local needed, most, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local in_the_way = redis.call('LINDEX', KEYS[1], math.max(0, most - needed))
local wait = in_the_way and in_the_way + window - now or 0
if wait > 0 then return wait end
for _ = 1, needed do redis.call('LPUSH', KEYS[1], string.format('%.0f', now)) end
redis.call('LTRIM', KEYS[1], 0, most - 1)
redis.call('PEXPIRE', KEYS[1], window)
return 0
