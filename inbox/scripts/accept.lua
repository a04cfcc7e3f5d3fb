-- A text becomes durable and its person is rung for, in one step.
--   KEYS inbox:{who} agenda people waiting queue    ARGV who, user id, text, sid, doorbell, milliseconds of grace
-- A text of the same sid that already waits is not added again: a duplicate costs nothing and changes no order.
-- Returns the stream id under which the text waits.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 16)
for _, entry in ipairs(newest) do
  if entry[2][2] == ARGV[4] then
    redis.call('ZADD', KEYS[2], 'LT', now + ARGV[6], ARGV[1])
    return entry[1]
  end
end
local id = redis.call('XADD', KEYS[1], '*', 'sid', ARGV[4], 'text', ARGV[3])
redis.call('ZADD', KEYS[2], 'LT', now + ARGV[6], ARGV[1])
redis.call('HSETNX', KEYS[3], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[4], 'NX', now, ARGV[1])
redis.call('LPUSH', KEYS[5], ARGV[5])
return id
