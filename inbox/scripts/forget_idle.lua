-- Delete the user ids of people whose last visit ended long ago, and for whom no text waits.
--
-- KEYS[1] served
-- KEYS[2] people
-- ARGV[1] for how many milliseconds a user id is kept after a visit
-- ARGV[2] maximum number of people
-- ARGV[3] prefix of the inboxes' keys
-- Not in KEYS: inbox:{who} of each person looked at, which is only read.
--
-- Returns the number of deleted user ids.
local clock = redis.call('TIME')
local before = clock[1] * 1000 + math.floor(clock[2] / 1000) - ARGV[1]
local idle = redis.call('ZRANGE', KEYS[1], '-inf', before, 'BYSCORE', 'LIMIT', 0, ARGV[2])
local deleted = 0
for _, who in ipairs(idle) do
  redis.call('ZREM', KEYS[1], who)
  -- the visit that answers a waiting text notes the person again
  if redis.call('EXISTS', ARGV[3] .. who) == 0 then deleted = deleted + redis.call('HDEL', KEYS[2], who) end
end
return deleted
