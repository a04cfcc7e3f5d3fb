-- Delete the user ids of people whose last visit ended long ago, and for whom no text waits.
--
-- A user id of which no visit is noted, as an earlier release left it, counts as visited when it is first seen: each
-- call looks at some people. Of a person who has none left, nothing is noted.
--
-- KEYS[1] served
-- KEYS[2] people
-- ARGV[1] for how many milliseconds a user id is kept after a visit
-- ARGV[2] maximum number of people
-- ARGV[3] prefix of the inboxes' keys
-- ARGV[4] cursor in people: where the last call ended, 0 at first
-- Not in KEYS: inbox:{who} of each person looked at, which is only read.
--
-- Returns the cursor for the next call.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local idle = redis.call('ZRANGE', KEYS[1], '-inf', now - ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, who in ipairs(idle) do
  redis.call('ZREM', KEYS[1], who)
  -- the visit that answers a waiting text notes the person again
  if redis.call('EXISTS', ARGV[3] .. who) == 0 then redis.call('HDEL', KEYS[2], who) end
end
local page = redis.call('HSCAN', KEYS[2], ARGV[4], 'COUNT', ARGV[2])
for i = 1, #page[2], 2 do redis.call('ZADD', KEYS[1], 'NX', now, page[2][i]) end
return page[1]
