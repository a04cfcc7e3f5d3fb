-- Remove texts whose turn is over, while the lease is mine.
--   KEYS lease:{who} inbox:{who} waiting again:{who}    ARGV token, who, stream id...
-- Returns {1, sid, times, ...}: which of them were brought again while they waited, and how often; {0}: the lease is not mine and
-- nothing was removed.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end
local told = {1}
local counted = redis.call('EXISTS', KEYS[4]) == 1
for i = 3, #ARGV do
  if counted then
    for _, entry in ipairs(redis.call('XRANGE', KEYS[2], ARGV[i], ARGV[i])) do
      local sid = entry[2][2]
      local times = redis.call('HGET', KEYS[4], sid)
      if times then
        redis.call('HDEL', KEYS[4], sid)
        table.insert(told, sid)
        table.insert(told, times)
      end
    end
  end
  redis.call('XDEL', KEYS[2], ARGV[i])
end
local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
if #oldest == 0 then
  redis.call('ZREM', KEYS[3], ARGV[2])
else
  redis.call('ZADD', KEYS[3], string.match(oldest[1][1], '^%d+'), ARGV[2])
end
return told
