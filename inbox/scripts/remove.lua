-- Remove texts whose turn is over, if the lease is held.
--
-- KEYS[1] lease:{who}
-- KEYS[2] inbox:{who}
-- KEYS[3] waiting
-- KEYS[4] again:{who}
-- ARGV[1] token of the lease
-- ARGV[2] who
-- ARGV[3...] stream ids of the texts
--
-- Returns {1, sid, times, sid, times, ...}: the removed texts that were brought again while waiting, and how often.
-- Returns {0} if the lease is lost; nothing is removed.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end
local answer = {1}
local counted = redis.call('EXISTS', KEYS[4]) == 1
for i = 3, #ARGV do
  if counted then
    for _, entry in ipairs(redis.call('XRANGE', KEYS[2], ARGV[i], ARGV[i])) do
      local sid = entry[2][2]
      local times = redis.call('HGET', KEYS[4], sid)
      if times then
        redis.call('HDEL', KEYS[4], sid)
        table.insert(answer, sid)
        table.insert(answer, times)
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
return answer
