-- Let so many segments leave from a number.    KEYS pace:{number}    ARGV milliseconds that they take, milliseconds by which it may be ahead
-- Returns 0, or the milliseconds after which to ask again.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local busy = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
local ahead = busy - now - tonumber(ARGV[2])
if ahead > 0 then return ahead end
local till = busy + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', till), 'PX', till - now + 1000)
return 0
