-- Remove texts whose turn is over, while the lease is mine.
--   KEYS lease:{who} inbox:{who} waiting    ARGV token, who, stream id...
-- Returns 1, or 0: the lease is not mine and nothing was removed.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for i = 3, #ARGV do redis.call('XDEL', KEYS[2], ARGV[i]) end
local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
if #oldest == 0 then
  redis.call('ZREM', KEYS[3], ARGV[2])
else
  redis.call('ZADD', KEYS[3], string.match(oldest[1][1], '^%d+'), ARGV[2])
end
return 1
