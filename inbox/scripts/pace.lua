-- Take a place in a queue that moves on by itself.    KEYS pace:{key}    ARGV milliseconds that it takes, milliseconds by which it may be ahead,
--                                                                          milliseconds that are worth waiting for
-- Returns in how many milliseconds it is one's turn; negative, and no place is taken, where that is too long.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local taken = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
local wait = math.max(0, taken - now - tonumber(ARGV[2]))
if wait > tonumber(ARGV[3]) then return -wait end
local till = taken + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', till), 'PX', string.format('%.0f', till - now + 1000))
return wait
