-- A text becomes durable and its person is rung for, in one step.
--   KEYS inbox:{who} agenda people waiting queue again:{who}
--   ARGV who, user id, text, sid, doorbell, milliseconds of grace, how many of the newest texts to compare with (0: all)
-- A text of the same sid that already waits is not added again: a duplicate is counted, costs nothing and changes no order.
-- Returns 1, or 0: it waits already.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local newest
if ARGV[7] == '0' then
  newest = redis.call('XREVRANGE', KEYS[1], '+', '-')
else
  newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[7])
end
for _, entry in ipairs(newest) do
  if entry[2][2] == ARGV[4] then
    if ARGV[7] ~= '0' then redis.call('HINCRBY', KEYS[6], ARGV[4], 1) end
    redis.call('ZADD', KEYS[2], 'LT', now + ARGV[6], ARGV[1])
    return 0
  end
end
redis.call('XADD', KEYS[1], '*', 'sid', ARGV[4], 'text', ARGV[3])
redis.call('ZADD', KEYS[2], 'LT', now + ARGV[6], ARGV[1])
redis.call('HSETNX', KEYS[3], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[4], 'NX', now, ARGV[1])
redis.call('LPUSH', KEYS[5], ARGV[5])
return 1
