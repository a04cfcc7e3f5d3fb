-- Who is due, oldest first, and served by nobody; each of them is not due again for a while.
--   KEYS agenda epoch    ARGV most, milliseconds until due again, prefix of leases, a new epoch
-- Returns {1 if Redis was emptied since the last look, who...}.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local emptied = redis.call('SET', KEYS[2], ARGV[4], 'NX') and 1 or 0
local found = {emptied}
for _, who in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
  if redis.call('EXISTS', ARGV[3] .. who) == 0 then
    redis.call('ZADD', KEYS[1], now + ARGV[2], who)
    table.insert(found, who)
  end
end
return found
