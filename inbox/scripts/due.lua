-- Who is due, oldest first, and served by nobody; each of them is not due again for a while.
--   KEYS agenda epoch    ARGV most, milliseconds until due again, prefix of leases, a new epoch
-- Those who are served keep their place on the agenda and are passed over: they must not hide who waits behind them.
-- Returns {1 if Redis was emptied since the last look, who...}.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local emptied = redis.call('SET', KEYS[2], ARGV[4], 'NX') and 1 or 0
local found, most, served = {emptied}, tonumber(ARGV[1]), 0
while #found <= most do
  local listed = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', served, most)
  if #listed == 0 then break end
  for _, who in ipairs(listed) do
    if redis.call('EXISTS', ARGV[3] .. who) == 1 then
      served = served + 1
    elseif #found <= most then
      redis.call('ZADD', KEYS[1], now + ARGV[2], who)
      table.insert(found, who)
    end
  end
end
return found
