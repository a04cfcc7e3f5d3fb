-- Take a place in a queue that drains by time alone.
--
-- KEYS[1] pace:{key}
-- ARGV[1] milliseconds that the place takes
-- ARGV[2] milliseconds by which the queue may run ahead
-- ARGV[3] longest acceptable wait in milliseconds
--
-- Returns the milliseconds to wait. If the wait is too long, takes no place and returns it as a negative number.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local taken = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
local wait = math.max(0, taken - now - tonumber(ARGV[2]))
if wait > tonumber(ARGV[3]) then return -wait end
local till = taken + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', till), 'PX', string.format('%.0f', till - now + 1000))
return wait
